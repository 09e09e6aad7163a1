"""The tour's report as one HTML file that needs nothing else."""

import html

from ftkit.lang import say
from ftkit.tables import html_page


def page(report: dict) -> str:
    """The whole page as text."""
    sections = "\n".join(_section(track) for track in report["tracks"])
    return html_page(
        "ftkit tour",
        f"<h1>{html.escape(say('What fine-tuning did here'))}</h1><p class='small'>{html.escape(_note(report['seconds']))}</p>{sections}",
    )


def _note(seconds: float) -> str:
    return say(
        f"Every number was measured on this machine in {seconds:.0f} s. Brackets hold 95 % intervals; a change counts only if "
        "its interval leaves out zero and its test agrees."
    )


def _section(track: dict) -> str:
    head = f"<h2>{html.escape(track['track'])}: {html.escape(track['title'])}</h2>"
    if "error" in track:
        error = say(f"FAILED: {track['error']}")
        return f"{head}<p class='error'>{html.escape(error)}</p>"
    tables = "".join(comparison["html"] for comparison in track["comparisons"])
    trained = say(f"trained: {track['trained']}")
    took = say(f"took: {track['seconds']:.0f} s, peak memory {track['peak_mib']:,} MiB")
    return (
        f"{head}<p class='verdict'>{html.escape(track['verdict'])}</p><p>{html.escape(trained)}</p><p class='small'>{took}</p>"
        f"{tables}{''.join(track['pictures'])}"
    )
