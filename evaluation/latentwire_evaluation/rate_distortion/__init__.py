"""Rate and distortion, ours beside today's codecs, one core.

    codecs    the codecs and their settings
    ours      every model of ours through the services
    measure   SSIM, PSNR, bits per pixel of what came back
    equal     bits per pixel at equal SSIM or PSNR, by interpolation, never beyond what was measured
    section   8-bit pictures a modality
    dicom     12- and 16-bit DICOM that was never compressed, lossless
    draw      the plots
"""
