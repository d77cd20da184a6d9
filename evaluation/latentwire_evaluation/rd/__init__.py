"""`make evaluate MODELS=rd DATA=…`: the rate–distortion family against the codecs that a PACS has, into evaluation/report/rd.{html,md,json}.

    pictures  the test pictures, scaled, and which of them come from a source that trained
    digest    a name for a picture's pixels
    grid      the settings of every codec, and the knobs of ours
    points    bytes and fidelity at each of them: codecs in processes of their own, ours through the running services
    rates     bytes at equal quality, what ours saves, the gate; bootstrap intervals over pictures
    bjontegaard  BD-rate
    gate      the section: all of that on clean pictures, by source, unseen sources apart
    noise     the section: the same under paper A's four noises
    floors    the section: the product itself at three floors, beside sending the file without loss
    speed     the section: nets and entropy coder on one core, against what the processor can multiply
    cost      multiplications of a net, and the processor's peak
    draw      the plots
    tables    every table, out of the figures of rd.json alone
    fill      puts these tables into docs/MODELS.md
"""
