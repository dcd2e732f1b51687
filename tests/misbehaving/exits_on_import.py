"""Cannot be imported, as if a library were missing on one machine."""

import sys

sys.stderr.write("no such library\n")
sys.exit(1)
