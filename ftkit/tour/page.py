"""The tour's report as one HTML file that needs nothing else."""

import html

from ftkit.tables import html_page


def page(report: dict) -> str:
    """The whole page as text."""
    sections = "\n".join(_section(track) for track in report["tracks"])
    return html_page(
        "ftkit tour",
        f"<h1>What fine-tuning did here</h1><p class='small'>Every number was measured on this machine in "
        f"{report['seconds']:.0f} s. Brackets hold 95 % intervals; a change counts only if its interval leaves out "
        f"zero and its test agrees.</p>{sections}",
    )


def _section(track: dict) -> str:
    head = f"<h2>{html.escape(track['track'])}: {html.escape(track['title'])}</h2>"
    if "error" in track:
        return f"{head}<p class='error'>Failed: {html.escape(track['error'])}</p>"
    tables = "".join(comparison["html"] for comparison in track["comparisons"])
    return (
        f"{head}<p class='verdict'>{html.escape(track['verdict'])}</p><p>Trained: {html.escape(track['trained'])}.</p>"
        f"<p class='small'>{track['seconds']:.0f} s in all, peak memory {track['peak_mib']:,} MiB</p>"
        f"{tables}{''.join(track['pictures'])}"
    )
