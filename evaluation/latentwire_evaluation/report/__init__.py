"""`make evaluate DATA=…`: every table and figure, on one page, into evaluation/report/report.{html,md,json}.

    __main__    the program: runs the sections, whatever becomes of one of them, and writes the page
    sections    which there are, in the order of the page
    context     what a section is given: pictures, models, the running services, the progress bar, where to say what was left out
    page        what a section gives back, and how the page is put together of them: Markdown, each figure with its command
    html        the same page as one HTML file without scripts, pictures inside
    machine     what it was measured on
"""
