"""The time until `esfera sim` answers, with its default inventory: from the start of the process until
RetrieveServiceContent over TLS is answered.
"""
import tempfile
import time
from pathlib import Path

from bench import Client, figure, median, sim

ROUNDS = 9
TARGET = "<= 300"


def main():
    taken = []
    with tempfile.TemporaryDirectory(prefix="esf-bench-") as room:
        for number in range(ROUNDS):
            with sim(Path(room) / str(number)) as server:
                client = Client(server.ready, login=False)
                taken.append((time.monotonic() - server.begun) * 1e3)
                client.close()
    figure("esfera sim, default inventory, until it answers", median(taken), "ms", TARGET)


if __name__ == "__main__":
    main()
