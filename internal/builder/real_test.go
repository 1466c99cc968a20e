package builder

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
	"pinwheel/internal/pip"
)

// realPackage is a row of testdata/real_packages.tsv: what plain pip once made of a
// project of the real index.
type realPackage struct{ name, version, outcome, wheel, notes string }

// realPackages are the rows from..to of the file, "1-10"; the first is 1.
func realPackages(t *testing.T, rows string) []realPackage {
	t.Helper()
	var from, to int
	if _, err := fmt.Sscanf(rows, "%d-%d", &from, &to); err != nil {
		t.Fatalf("PINWHEEL_REAL_PACKAGES=%q: want the first and the last row, as 1-10", rows)
	}
	f, err := os.Open("testdata/real_packages.tsv")
	must(t, err)
	defer f.Close()
	var list []realPackage
	lines := bufio.NewScanner(f)
	lines.Scan() // the head
	for n := 1; lines.Scan(); n++ {
		fields := strings.Split(lines.Text(), "\t")
		if n >= from && n <= to {
			list = append(list, realPackage{fields[0], fields[1], fields[3], fields[5], fields[10]})
		}
	}
	must(t, lines.Err())
	return list
}

// installed is why a row comes out otherwise where the Python that builds is Debian's.
const installed = `it has no pyproject.toml, and a pip before 23.1 that finds wheel installed, as Debian 12's does, builds such ` +
	`an sdist without isolation, with the setuptools that is installed (66) instead of the newest`

// rustless is why one does where builds see no Rust: they look in /usr, not in somebody's home.
const rustless = "there is no rustc for builds"

// another is what may come of a row instead, and why.
type another struct {
	outcome, wheel, cause string
	why                   string
}

// otherwise are results that are not those of the file, each with its reason. The file was
// made by pip 23.2.1 without wheel beside it, on a machine with Rust on its PATH.
func otherwise() map[string]another {
	spelled := func(wheel string) another {
		return another{"ok", wheel, "", installed + ", which spells names as they are"}
	}
	return map[string]another{
		"Twisted==16.0.0":                        {"ok", "Twisted-16.0.0-py3-none-any.whl", "", installed + ", and still has pkg_resources"},
		"zope.interface==6.4.post2":              spelled("zope.interface-6.4.post2-cp311-cp311-linux_x86_64.whl"),
		"python-Levenshtein==0.12.2":             spelled("python_Levenshtein-0.12.2-cp311-cp311-linux_x86_64.whl"),
		"backports.ssl_match_hostname==3.7.0.1":  spelled("backports.ssl_match_hostname-3.7.0.1-py2.py3-none-any.whl"),
		"Products.CMFQuickInstallerTool==3.0.16": spelled("Products.CMFQuickInstallerTool-3.0.16-py3-none-any.whl"),
		"bcrypt==4.1.2":                          {"fail", "", "missing-tool rustc", rustless},
		"rpds-py==0.18.0": {"fail", "", "network refused by the fence: static.rust-lang.org", rustless + ", and the one that maturin fetches then is " +
			"not to be had where names resolve to addresses that are not public, as behind some proxies"},
	}
}

// reasons are what a maintainer is to be told of the rows that fail: cause and detail.
func reasons() map[string]string {
	return map[string]string{
		"pycups==2.0.4":           "missing-header cups/http.h",
		"zope.interface==8.1.1a1": "no-sdist zope.interface==8.1.1a1",
		"PyAudio==0.2.14":         "missing-header portaudio.h",
		"python-ldap==3.4.4":      "missing-header lber.h",
		"PyYAML==5.4.1":           "build-backend 'build_ext' object has no attribute 'cython_sources'",
		"web.py==0.40.dev1":       "python-syntax MutableMapping is gone from collections",
		"sklearn==0.0.post5":      "build-backend 'sklearn' PyPI package is deprecated",
		"dbus-python==1.3.2":      "missing-library dbus-1",
		"pywin32==306":            "no-sdist pywin32==306",
		"pytz==2013b":             "python-syntax Mapping is gone from collections",
		"pytz==2004b":             "python-syntax SyntaxError: invalid syntax",
		"functools32==3.2.3-2":    "python-syntax for Python 2.7 only",
		"dataclasses==0.8":        "no-sdist dataclasses==0.8",
		"pyzmq==26.0.2":           "build-backend subprocess-exited-with-error", // pip's own words; the backend's stand above them
		"Twisted==16.0.0":         "build-backend pkg_resources is gone",
		"anyjson==0.3.3":          "build-backend use_2to3 is gone from setuptools",
	}
}

// TestRealPackages builds projects of the real index, and holds what comes of them to the
// file, and to what is known to come out otherwise. It is not part of the suite: it
// takes ten minutes and the index.
func TestRealPackages(t *testing.T) {
	rows := os.Getenv("PINWHEEL_REAL_PACKAGES")
	if rows == "" {
		t.Skip("PINWHEEL_REAL_PACKAGES is not set: `make real` sets it")
	}
	py, err := findPython()
	must(t, err)
	index, err := pip.Upstream(t.Context(), py)
	must(t, err)
	t.Logf("%s, Python %s, pip %s", py.Path, py.Version, py.Pip)
	for _, p := range realPackages(t, rows) {
		t.Run(p.String(), func(t *testing.T) { p.try(t, index) })
	}
}

func (p realPackage) String() string { return p.name + "==" + p.version }

func (p realPackage) try(t *testing.T, index string) {
	if _, err := pep.ParseVersion(p.version); err != nil {
		t.Logf("refused before it is built: %v", err)
		if p.outcome != "fail" {
			t.Errorf("the file says %s", p.outcome)
		}
		return
	}
	b := newBuild(t, Bwrap, p.name, index)
	b.Version = p.version
	b.Limits = farm.Limits{Timeout: 10 * time.Minute, LogLimit: 10 << 20, Memory: 4 << 30}
	r := build(t, b)
	got := realPackage{outcome: "fail"}
	if r.Outcome == farm.OutcomeBuilt {
		got.outcome, got.wheel = "ok", filepath.Base(r.Wheels[0])
	}
	why := string(r.Failure.Cause) + " " + r.Failure.Detail
	t.Logf("%s %s %s (%s); %.1f s, peak %s", got.outcome, got.wheel, why, r.Failure.Hint, r.Record.Seconds, amount(r.Record.PeakRSS))
	if a, ok := otherwise()[p.String()]; ok && got.outcome == a.outcome && got.wheel == a.wheel && strings.HasPrefix(why, a.cause) {
		t.Logf("not as in the file (%s %s): %s", p.outcome, p.wheel, a.why)
		return
	}
	if got.outcome != p.outcome || got.wheel != p.wheel {
		t.Errorf("%s %s, the file says %s %s\n%s\n%s", got.outcome, got.wheel, p.outcome, p.wheel, p.notes, r.Excerpt)
	}
	if want := reasons()[p.String()]; !strings.HasPrefix(why, want) || got.outcome == "fail" && want == "" {
		t.Errorf("it failed by %q, want %q\n%s", why, want, r.Excerpt)
	}
}
