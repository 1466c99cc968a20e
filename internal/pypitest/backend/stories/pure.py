def build(wheel):
    return wheel.write()
