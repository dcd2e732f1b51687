"""Cannot even be imported, as where a library is missing on one machine."""

import sys

sys.stderr.write("no such library\n")
sys.exit(1)
