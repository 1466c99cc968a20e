package armtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// TestARM follows four projects: built by one slave for two targets, copied for ARMv6
// where that is proven, and taken by the pip of a 32-bit ARM system.
func TestARM(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if r.py.Target() == armTarget() {
		t.Fatalf("this machine is itself a %s: there is no second target here", armTarget())
	}
	r.open()
	r.serve()
	r.outcomes(r.release())
	r.wheels()
	r.copies()
	r.say("the wheels are what they should be")

	p := r.newPi()
	p.takesOurs()
	p.fallsBack()
	p.takesCopy()
	p.asksByPlatform()
	r.check()
	r.say("rows, files and pages agree")
	r.slave.stop()
	r.master.stop()
}

// outcomes: what has C code was built once for each target. The pure wheel was built
// once in all, for whichever target is the first, and is what the other one needs.
func (r *rig) outcomes(jobs []store.JobRow) {
	r.t.Helper()
	pure, leases := []farm.State{}, 0
	for _, j := range jobs {
		n := r.leases(j.ID)
		if j.Package == "story-pure" {
			pure, leases = append(pure, j.State), leases+n
		} else if j.State != farm.Built || n != 1 {
			r.t.Errorf("%s for %s is %s, with %d leases: %s %s", j.Package, j.Target, j.State, n, j.Cause, j.Detail)
		}
	}
	slices.Sort(pure)
	if !slices.Equal(pure, []farm.State{farm.Built, farm.Covered}) || leases != 1 {
		r.t.Errorf("story-pure is %v, with %d leases, want one built and one covered, with one", pure, leases)
	}
	if r.t.Failed() {
		r.t.FailNow()
	}
}

// wheels holds the files on the pages to the tags that they should have.
func (r *rig) wheels() {
	r.t.Helper()
	host := r.py.Target()
	for project, want := range map[string][]string{
		"story-pure": {"story_pure-1.0-py3-none-any.whl"},
		"story-c": {"story_c-1.0-" + wheelTag(host) + ".whl",
			"story_c-1.0-cp311-cp311-linux_armv7l.whl"},
		"story-crt": {"story_crt-1.0-" + wheelTag(host) + ".whl",
			"story_crt-1.0-cp311-cp311-linux_armv7l.whl"},
		"story-v6": {"story_v6-1.0-" + wheelTag(host) + ".whl",
			"story_v6-1.0-cp311-cp311-linux_armv7l.whl", "story_v6-1.0-cp311-cp311-linux_armv6l.whl"},
	} {
		slices.Sort(want)
		r.eventually(project+" has its wheels", func() (string, bool) {
			got := r.files(project)
			return strings.Join(got, " "), slices.Equal(got, want)
		})
	}
	r.eventually("the pages are written, which follow the rows", func() (string, bool) {
		now, err := r.store.Now(r.t.Context())
		r.must(err)
		left, err := r.store.Unwritten(r.t.Context(), nil, now)
		r.must(err)
		return fmt.Sprint(left.Pages, " are not"), left.Pages == 0
	})
}

func wheelTag(t farm.Target) string { return t.ABI + "-" + t.ABI + "-" + t.Platform }

// copies: what has no copy has the reason.
func (r *rig) copies() {
	r.t.Helper()
	for _, project := range []string{"story-c", "story-crt"} {
		r.eventually(project+" has no copy for armv6l, and says why", func() (string, bool) {
			why := r.tell("why", project, "1.0")
			return why, strings.Contains(why, "no copy for armv6l: ") && !strings.Contains(why, "nobody has looked yet")
		})
	}
	if why := r.tell("why", "story-v6", "1.0"); strings.Contains(why, "no copy for armv6l: ") {
		r.t.Errorf("story-v6 has a copy, and a reason for none:\n%s", why)
	}
}

// takesOurs: pip asks both indexes, takes the farm's wheels although the upstream has
// an sdist of each, and what is in them runs.
func (p *pi) takesOurs() {
	p.t.Helper()
	said, got, err := p.install(nil, "story-pure", "story-c", "story-crt", "story-v6")
	if err != nil {
		p.t.Fatalf("pip install: %v\n%s", err, said)
	}
	if want := "Looking in indexes: " + p.index.URL() + ", " + p.url + "/simple/"; !strings.Contains(said, want) {
		p.t.Errorf("pip does not say %q:\n%s", want, said)
	}
	for project, file := range map[string]string{
		"story-pure": "story_pure-1.0-py3-none-any.whl",
		"story-c":    "story_c-1.0-cp311-cp311-linux_armv7l.whl",
		"story-crt":  "story_crt-1.0-cp311-cp311-linux_armv7l.whl",
		"story-v6":   "story_v6-1.0-cp311-cp311-linux_armv7l.whl",
	} {
		p.from(got[project], p.url+"/simple/"+project+"/", file)
	}
	p.runs("import platform, story_pure, story_c, story_crt, story_v6; print(platform.machine(), story_pure.version, story_c.answer(), "+
		"story_crt.answer(), story_v6.answer())", "armv7l 1.0 42 42 42")
	p.say("pip takes the farm's wheels, and they run")
}

// from holds a file that pip took to the row of the farm: its address, and its hash.
func (p *pi) from(got taken, page, file string) {
	p.t.Helper()
	if got.url != page+file {
		p.t.Errorf("pip took %s, want %s", got.url, page+file)
		return
	}
	row, err := p.store.Page(p.t.Context(), filepath.Base(page))
	p.must(err)
	for _, w := range row.Wheels {
		if w.Filename == file && w.SHA256 != got.sha256 {
			p.t.Errorf("%s: pip took %s, the farm has %s", file, got.sha256, w.SHA256)
		}
	}
}

// runs runs a line of Python inside, without a variable that may have told pip otherwise.
func (p *pi) runs(line, want string) {
	p.t.Helper()
	out, errs, err := p.run(nil, "python3", "-c", line)
	if err != nil || strings.TrimSpace(out) != want {
		p.t.Errorf("%s\nprints %q, %v, want %q\n%s", line, out, err, want, errs)
	}
}

// fallsBack: what the farm lacks comes from the upstream, and is compiled here.
func (p *pi) fallsBack() {
	p.t.Helper()
	said, got, err := p.install(nil, "story-elsewhere")
	if err != nil {
		p.t.Fatalf("pip install: %v\n%s", err, said)
	}
	if url := got["story-elsewhere"].url; !strings.HasPrefix(url, p.index.Base()+"/files/") {
		p.t.Errorf("pip took %s, want the upstream's sdist", url)
	}
	p.runs("import story_elsewhere; print(story_elsewhere.version)", "1.0")
	p.say("what the farm lacks comes from the upstream")
}

// takesCopy: a pip on an ARMv6 takes the copy where there is one, and where there is
// none finds no wheel at all, rather than one that would die there.
func (p *pi) takesCopy() {
	p.t.Helper()
	zero := []string{"_PYTHON_HOST_PLATFORM=linux-armv6l"}
	said, got, err := p.install(zero, "--force-reinstall", "story-v6")
	if err != nil {
		p.t.Fatalf("pip install on armv6l: %v\n%s", err, said)
	}
	p.from(got["story-v6"], p.url+"/simple/story-v6/", "story_v6-1.0-cp311-cp311-linux_armv6l.whl")
	p.runs("import story_v6; print(story_v6.answer())", "42")
	said, got, err = p.install(zero, "--force-reinstall", "--only-binary", ":all:", "story-c")
	if err == nil || !strings.Contains(said, "No matching distribution found for story-c") {
		p.t.Errorf("a pip on armv6l takes %v, %v for story-c:\n%s", got, err, said)
	}
	p.say("a pip on armv6l takes the copy, and none where there is no proof")
}

// asksByPlatform is the same for a pip that is only told of the platform, as somebody
// does who fills a folder for a Pi Zero on another machine.
func (p *pi) asksByPlatform() {
	p.t.Helper()
	dir := p.path("zero")
	p.must(os.Mkdir(dir, 0o755))
	download := func(project string) (string, error) {
		cmd := exec.Command(p.py.Path, "-m", "pip", "--isolated", "download", "--disable-pip-version-check", "--no-cache-dir",
			"--no-deps", "--only-binary", ":all:", "--platform", "linux_armv6l", "--python-version", "3.11", "--implementation", "cp",
			"--abi", "cp311", "--dest", dir, "--index-url", p.url+"/simple/", project)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.dir}
		out, errs, err := run(p.t, cmd)
		return out + errs, err
	}
	if said, err := download("story-v6"); err != nil {
		p.t.Errorf("pip download for armv6l: %v\n%s", err, said)
	}
	for _, project := range []string{"story-c", "story-crt"} {
		if said, err := download(project); err == nil {
			p.t.Errorf("pip downloads %s for armv6l:\n%s", project, said)
		}
	}
	found, err := filepath.Glob(filepath.Join(dir, "*"))
	p.must(err)
	if want := []string{filepath.Join(dir, "story_v6-1.0-cp311-cp311-linux_armv6l.whl")}; !slices.Equal(found, want) {
		p.t.Errorf("pip downloads %v for armv6l, want %v", found, want)
	}
}
