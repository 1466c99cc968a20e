def build(wheel):
    wheel.name = "somebody_else"
    return wheel.write()
