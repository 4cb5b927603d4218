"""The browser: the one package that imports `playwright`.

A new browser context for each page would cost more than the page; a tab is used again, and what the last page left
(cookies, storage, permissions) is cleared. Each tab reaches the world through a SOCKS proxy of its own (socks.py).
"""

from dm_tools.collect.browser.chromium import executable
from dm_tools.collect.browser.fleet import Browser
from dm_tools.collect.browser.tab import MAX_HTML, MAX_TEXT, Look, Manner
from dm_tools.collect.browser.witness import MAX_ENTRIES

__all__ = ["MAX_ENTRIES", "MAX_HTML", "MAX_TEXT", "Browser", "Look", "Manner", "executable"]
