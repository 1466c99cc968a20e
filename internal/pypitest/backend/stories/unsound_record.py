def build(wheel):
    wheel.false_hash = next(iter(wheel.files))
    return wheel.write()
