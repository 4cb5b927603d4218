"""dm-screenshot: look at every page of a service with a browser."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

import click

from dm_tools.pipe import command, say, stream


@command.define("dm-screenshot", unreachable=True)
@click.option("--full-page", is_flag=True, help="The whole page, up to 10000 pixels high, and not just its top.")
@click.option(
    "--viewport",
    default="1280x720",
    show_default=True,
    type=command.Size(),
    metavar="WIDTHxHEIGHT",
    help="The size of the window in pixels.",
)
@click.option(
    "--wait",
    default="load",
    show_default=True,
    metavar="load|idle|SELECTOR",
    help="Look when the page has loaded, when it asks for nothing more for half a second, or when an element is there.",
)
@click.option("--header-file", type=click.File("r", encoding="utf-8"), help="Headers for the own origin, a line each.")
@click.option("--dom", type=click.Path(path_type=Path, file_okay=False), help="Write the documents, masked, in here.")
@click.option(
    "--ocr",
    envvar="OCR_MODEL",
    default="none",
    show_default=True,
    show_envvar=True,
    metavar="none|local|MODEL",
    help="Read the text in the pictures of broken or wordless pages: here, or with a vision model at LLM_BASE_URL.",
)
@command.proofs_dir_option
@command.pace_options
@command.stream_options(jobs=2, timeout=10)
def cli(
    services: tuple[str, ...],
    jobs: int,
    timeout: float,
    keep_order: bool,
    on_bad: str,
    when: str,
    every: float | None,
    proofs_dir: Path,
    full_page: bool,
    viewport: tuple[int, int],
    wait: str,
    header_file: TextIO | None,
    dom: Path | None,
    ocr: str,
) -> int:
    """Add `screenshot`: each http and https URL as a browser shows it, with the verdict ok, blank, error_page, login,
    loading or not_rendered, and the reasons.

    A page has its picture (PNG, in screenshots/ of the proofs folder, never overwritten), a thumbnail if that is large,
    title, text and document in excerpt, errors of its console and scripts, requests that failed or were slow, and its
    times. What stands in inputs is masked before the picture is taken, secrets in texts as everywhere; what a page
    shows as plain text is in the picture. Dialogs are dismissed, windows closed, downloads refused. A URL of which the
    record's probe says that nothing answers there is not asked again. The time is that of one page.

    A page can lead the browser only to the hosts and ports of its record's URLs, to containers of its stack and to
    public addresses; never to this machine, its network or a metadata service. Other requests than GET and HEAD go to
    the page's own origin. Whom it wanted to be asked beyond that, and why not, is the reason not_allowed
    (dm docs security).

    Needs the Python package playwright, and Chromium or Chrome (found by itself, a headless shell first; $DM_CHROMIUM).

    Network: the given URLs, and what those pages load from there, from the stack and from public addresses; the Docker
    Engine for internal names and for what is the stack's.

    \b
    Examples:
      dm-screenshot https://example.org/ | jq -r '.screenshot.pages[] | [.verdict, .title, .path] | @tsv'
      dm-services | dm-probe | dm-inspect | dm-screenshot --when unhealthy | dm-analyze | dm-show
      dm-screenshot --full-page --viewport 390x844 --wait main http://127.0.0.1:8080/
    """
    from dm_tools.collect import browser
    from dm_tools.collect import screenshot as section
    from dm_tools.engine.connection import Engines
    from dm_tools.llm.ocr import reader
    from dm_tools.store.pictures import Folder

    try:
        headers = section.headers(header_file.read()) if header_file else ()
    except ValueError as wrong:
        raise click.BadParameter(f"{wrong}", param_hint="--header-file") from None
    engines = Engines(timeout)
    looker = browser.Browser(browser.Manner(*viewport, full_page, wait, headers), jobs, unavailable=say.note)
    save, save_dom, read = Folder(proofs_dir / "screenshots").add, Folder(dom).add if dom else None, reader(ocr)
    source = command.source(services, on_bad, meanwhile=looker.start)
    work = command.when(when, lambda record: section.screenshot(record, looker, engines, timeout, save, save_dom, read))
    work, between = command.paced("screenshot", every, work, engines.forget)
    try:
        return stream.write(stream.pmap(work, source, "screenshot", jobs, keep_order, between), "screenshot")
    finally:
        looker.close()


def main() -> None:
    """Entry point of the console script."""
    command.run(cli)


if __name__ == "__main__":
    main()
