"""A class of 40 on one server: each uploads, queues a small job, polls every second and chats meanwhile. Prints figures as JSON.

    python benchmarks/service_load.py --clients 40

Times are wall-clock seconds on the machine it runs on: server, worker and clients share its cores, with whatever else is
running there; the load before is printed with them.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai


def rows(n: int = 12) -> bytes:
    pairs = [("My parcel {} is late", "late parcel"), ("Refund invoice {} please", "money back")]
    lines = []
    for i in range(n):
        question, answer = pairs[i % 2]
        messages = [{"role": "user", "content": question.format(i)}, {"role": "assistant", "content": answer}]
        lines.append(json.dumps({"messages": messages}) + "\n")
    return "".join(lines).encode()


def take_part(url: str, key: str) -> dict[str, list[float]]:
    """Seconds of every request of one learner, by kind."""
    took: dict[str, list[float]] = {kind: [] for kind in ("upload", "create", "poll", "chat", "job")}

    def timed(kind: str, call):
        begun = time.perf_counter()
        result = call()
        took[kind].append(time.perf_counter() - begun)
        return result

    with openai.OpenAI(base_url=url, api_key=key, timeout=600) as client:
        begun = time.perf_counter()
        file = timed("upload", lambda: client.files.create(file=("rows.jsonl", rows()), purpose="fine-tune"))
        settings = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 1}}}
        ask = dict(model="ftkit-phi-11m", training_file=file.id, method=settings)
        job = timed("create", lambda: client.fine_tuning.jobs.create(**ask))
        talk = dict(messages=[{"role": "user", "content": "My parcel 5 is late"}], max_tokens=16)
        while job.status not in ("succeeded", "failed", "cancelled"):
            if len(took["poll"]) % 10 == 0:
                timed("chat", lambda: client.chat.completions.create(model="ftkit-phi-11m", **talk))
            job = timed("poll", lambda: client.fine_tuning.jobs.retrieve(job.id))
            time.sleep(1)
        took["job"].append(time.perf_counter() - begun)
        if job.status != "succeeded" or [one.id for one in client.fine_tuning.jobs.list()] != [job.id]:
            raise SystemExit(f"{job.status}: {job.error}, or another learner's job was seen")
        timed("chat", lambda: client.chat.completions.create(model=job.fine_tuned_model, **talk))
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=40)
    number = parser.parse_args().clients
    load = round(os.getloadavg()[0], 1)  # of a POSIX system
    with tempfile.TemporaryDirectory() as folder:
        keys = {f"key-of-learner-number-{i:03d}": f"learner{i:03d}" for i in range(number)}
        table = Path(folder, "class.csv")
        table.write_text("name,key\n" + "".join(f"{name},{key}\n" for key, name in keys.items()), encoding="utf-8")
        command = [sys.executable, "-m", "ftkit.service", "--with-parent", "--port", "0"]
        command += ["--data-dir", str(Path(folder, "data")), "--keys", str(table)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as service:
            url = json.loads(service.stdout.readline())["base_url"]
            begun = time.perf_counter()
            with ThreadPoolExecutor(number) as pool:
                parts = list(pool.map(lambda key: take_part(url, key), keys))
            whole = time.perf_counter() - begun
            service.stdin.close()
    figures = {"clients": number, "cores": os.cpu_count(), "load before": load, "seconds in all": round(whole, 1)}
    for kind in parts[0]:
        times = sorted(second for part in parts for second in part[kind])
        last = times[int(0.95 * (len(times) - 1))]
        figures[kind] = {"n": len(times), "median s": round(statistics.median(times), 3), "95 % within s": round(last, 3)}
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
