def build(wheel):
    if input("Do you accept the licence? [y/N] ") != "y":
        raise SystemExit("licence not accepted")
    return wheel.write()
