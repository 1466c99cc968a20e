def build(wheel):
    wheel.tag = "cp27-cp27m-win_amd64"
    return wheel.write()
