def build(wheel):
    return wheel.filename()
