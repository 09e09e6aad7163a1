"""The tour's report as one HTML file that needs nothing else."""

import html

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #23272e }
table { border-collapse: collapse; margin: 1rem 0 } caption { text-align: left; color: #5b616b; padding-bottom: .3rem }
th, td { text-align: left; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid #e3e6ea }
td { font-variant-numeric: tabular-nums } img { max-width: 100%; background: white; margin-right: 1rem }
.verdict { font-weight: 600 } .error { color: #b3261e } .small { color: #5b616b }
@media (prefers-color-scheme: dark) {
  body { background: #16181d; color: #e4e7eb } th, td { border-color: #32363d } caption, .small { color: #a6adb8 }
}
"""


def page(report: dict) -> str:
    """The whole page as text."""
    sections = "\n".join(_section(track) for track in report["tracks"])
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>ftkit tour</title><style>{STYLE}</style>"
        f"<h1>What fine-tuning did here</h1><p class='small'>Every number was measured on this machine in "
        f"{report['seconds']:.0f} s. Brackets hold 95 % intervals; a change counts only if its interval leaves out "
        f"zero.</p>{sections}</html>\n"
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
