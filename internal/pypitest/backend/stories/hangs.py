import time


def build(wheel):
    print("waiting for something that never comes", flush=True)
    # Not for ever: whoever forgets to end this build should not find it next week.
    time.sleep(900)
    raise SystemExit("nobody ended this build")
