"""Say what is missing, and end with 1: how scripts ask whether there is a browser."""

import sys

from dm_tools.collect.browser.chromium import missing

reason = missing()
sys.stdout.write(f"{reason}\n" if reason else "")
sys.exit(reason is not None)
