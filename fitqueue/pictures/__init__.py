"""What a notebook shows of jobs and of their curves: static HTML without a script, and plain text beside it.

Text and axes have the colour of the text around them, so that they can be read in light and dark themes. Names are
other people's: all of them are escaped here.
"""
