package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

func (a *whyAnswer) print(t teller) {
	head := a.Package
	if a.Display != "" && a.Display != a.Package {
		head += ", written " + cli.OneLine(a.Display)
	}
	head += ": " + a.Status
	if a.StatusReason != "" {
		head += " (" + cli.OneLine(a.StatusReason) + ")"
	}
	if a.Followed {
		head += ", followed"
	} else {
		head += ", only what was asked for is built"
	}
	if !a.Read.IsZero() {
		head += ", read " + t.ago(a.Read)
	}
	t.line("%s", head)
	if a.Unread != nil {
		t.folded(2, a.Unread.words(t.now))
	}
	for _, s := range a.Skips {
		t.folded(2, fmt.Sprintf("not to be built: %s, said %s %s: %s", skipped(s.Package, versionsIn(s), s.Target), s.Author, t.ago(s.At), s.Reason))
	}
	if a.one {
		a.printRelease(t, a.Releases[0])
		return
	}
	a.printReleases(t)
}

func (u *whyUnread) words(now time.Time) string {
	since := "what changed upstream is to be read, since " + span(now.Sub(u.Since))
	if u.Trouble == "" {
		return since
	}
	return since + ", but it could not be yet: " + cli.OneLine(u.Trouble)
}

func versionsIn(s store.Skip) []string {
	if s.Version == "" {
		return nil
	}
	return []string{quoted(s.Version)}
}

// printReleases is the table of all, a column for each target.
func (a *whyAnswer) printReleases(t teller) {
	var targets []string
	for _, r := range a.Releases {
		for _, x := range r.Targets {
			if !slices.Contains(targets, x.Target) {
				targets = append(targets, x.Target)
			}
		}
	}
	heads, platform := shortened(targets)
	if platform != "" {
		t.line("targets: %s on %s", strings.Join(heads, ", "), platform)
	}
	rows := make([][]string, len(a.Releases))
	for i, r := range a.Releases {
		rows[i] = []string{r.Version, r.Released.UTC().Format("2006-01-02")}
		for _, name := range targets {
			rows[i] = append(rows[i], r.cell(name))
		}
	}
	// Targets that do not fit beside each other come below, in tables of their own.
	for from, first := 0, true; from < len(targets) || first; first = false {
		if !first {
			t.line("")
		}
		from = t.beside(heads, rows, from)
	}
}

const beforeTargets = 2 // columns of the table of releases

// beside prints the table of releases with as many targets as fit, from this one on,
// and gives the next.
func (t teller) beside(targets []string, rows [][]string, from int) (next int) {
	pick := func(to int) (heads []string, some [][]string) {
		heads = append([]string{"VERSION", "RELEASED"}, targets[from:to]...)
		for _, r := range rows {
			some = append(some, slices.Concat(r[:beforeTargets], r[beforeTargets+from:beforeTargets+to]))
		}
		return heads, some
	}
	next = len(targets)
	heads, some := pick(next)
	for ; t.wide > 0 && next > from+1 && tableWide(heads, some) > t.wide; heads, some = pick(next) {
		next--
	}
	t.table(columns(heads...), some)
	return next
}

// cell is what became of a release on a target, in a word: of a failure its cause,
// of what is skipped the reason's kind, in brackets.
func (r whyRelease) cell(target string) string {
	for _, x := range r.Targets {
		switch {
		case x.Target != target:
		case x.State == "":
			return "-"
		case x.State == farm.Failed:
			return x.Cause
		case x.State == farm.Skipped && x.Why != "":
			return "[" + string(x.Why) + "]"
		default:
			return string(x.State)
		}
	}
	return "-"
}

// shortened leaves the platform out of targets that all have the same.
func shortened(targets []string) (heads []string, platform string) {
	for i, name := range targets {
		abi, p, _ := strings.Cut(name, "-")
		if i > 0 && p != platform {
			return targets, ""
		}
		heads, platform = append(heads, abi), p
	}
	return heads, platform
}

func (a *whyAnswer) printRelease(t teller, r whyRelease) {
	facts := []string{"released " + r.Released.UTC().Format("2006-01-02")}
	if r.Sdist == "" {
		facts = append(facts, "no sdist")
	} else {
		facts = append(facts, fmt.Sprintf("sdist %s (%s kB)", r.Sdist, grouped((r.SdistSize+999)/1000)))
	}
	if r.RequiresPython != "" {
		facts = append(facts, "for Python "+cli.OneLine(r.RequiresPython))
	}
	if r.Yanked {
		facts = append(facts, strings.TrimSuffix("yanked: "+cli.OneLine(r.YankReason), ": "))
	}
	if r.Quarantined {
		facts = append(facts, "held back by the upstream")
	}
	t.folded(2, fmt.Sprintf("%s %s: %s", a.Package, r.Version, strings.Join(facts, ", ")))
	for _, w := range r.Wheels {
		where := w.Page + w.Filename
		switch {
		case w.Withheld:
			where = w.Filename + ", which is withheld"
		case w.Page == "":
			where = w.Filename + ", which no master has served yet"
		}
		what := "the wheel"
		if w.CopyOf != "" {
			what = "its copy for armv6l, by the one"
		}
		t.whole("  %s of %s: %s", what, w.Target, where) // whole, to be copied
		if w.NoARMv6l != "" {
			t.folded(4, "no copy for armv6l: "+w.NoARMv6l)
		}
	}
	for _, x := range r.Targets {
		t.line("")
		a.printTarget(t, r, x)
	}
}

func (a *whyAnswer) printTarget(t teller, r whyRelease, x whyTarget) {
	t.folded(0, x.Target+": "+x.headline(t))
	for _, other := range r.Targets {
		if other.Target == x.Waits && x.Waits != "" {
			t.folded(2, other.clause(t))
		}
	}
	for _, why := range x.explanations(t, a.Followed) {
		t.folded(2, why)
	}
	if remedy := a.remedy(r, x); remedy != "" {
		t.whole("  %s", remedy) // whole, to be copied
	}
	const most = 8
	for i, b := range x.Builds {
		if i == most {
			t.folded(2, fmt.Sprintf("and %s", counted(int64(len(x.Builds)-most), "older build", "older builds")))
			break
		}
		t.folded(2, b.line(t))
		for _, line := range importLines(b.Record) {
			t.folded(4, line)
		}
	}
}

func (b whyBuild) line(t teller) string {
	text := fmt.Sprintf("build %d by %s, %s", b.ID, b.Slave, t.ago(b.Started))
	if b.Outcome == "" {
		return text + ": under way"
	}
	text += ": " + strings.Join(named("", b.Outcome, "", b.Cause, "", cli.OneLine(b.Detail)), " ")
	if b.Seconds > 0 {
		text += fmt.Sprintf(", %.0f s", b.Seconds)
	}
	if b.Log {
		text += fmt.Sprintf("; master log %d", b.ID)
	}
	return text
}

// clause says the same as headline, of what another job waits for.
func (x whyTarget) clause(t teller) string {
	switch x.State {
	case "":
		return "which has " + x.headline(t)
	case farm.Waiting:
		return "which " + x.headline(t)
	}
	return "which is " + x.headline(t)
}

// headline says where it stands.
func (x whyTarget) headline(t teller) string {
	switch since := t.ago(x.Since); x.State {
	case "":
		return "no job"
	case farm.Leased:
		return "built now, by " + x.Slave + ", since " + span(t.now.Sub(x.Since))
	case farm.Failed:
		return "failed " + since + ": " + strings.Join(named("", x.Cause, "", cli.OneLine(x.Detail)), " ")
	case farm.Queued:
		return "queued " + since
	case farm.Built:
		return "built " + since
	case farm.Waiting:
		return "waits, since " + span(t.now.Sub(x.Since)) + ": " + x.Reason
	default:
		return string(x.State) + " " + since + ": " + cli.OneLine(x.Reason)
	}
}

// explanations are the reasons for it, and what comes of it.
func (x whyTarget) explanations(t teller, followed bool) (list []string) {
	say := func(when bool, format string, args ...any) {
		if when {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	if x.State == "" && x.Active && x.Verdict.State == farm.Queued {
		say(!followed, "the project is not followed, and nobody asked for this release here")
		say(followed, "the project is followed, and was not read since it could be built here")
	}
	say(x.Hint != "", "what would help: %s", cli.OneLine(x.Hint))
	say(len(x.Recipes) > 0, "the recipes for it: %s", strings.Join(x.Recipes, ", "))
	say(!x.Needs.IsZero(), "it needs a slave with %s%s", needsWords(x.Needs), x.learntWords())
	if x.State == farm.Queued {
		say(!x.Lack.IsZero(), "no live slave has that: the nearest lacks %s", needsWords(x.Lack))
		say(x.Ahead == 0 && x.Lack.IsZero(), "it is next; its priority: %s", x.Priority)
		say(x.Ahead > 0 && x.Ahead < store.AheadCounted, "%s before it; its priority: %s", counted(x.Ahead, "job is", "jobs are"), x.Priority)
		say(x.Ahead >= store.AheadCounted, "more than %s jobs are before it; its priority: %s", grouped(store.AheadCounted), x.Priority)
		say(x.Begins.After(t.now), "nobody gets it before %s, in %s", x.Begins.Local().Format("2006-01-02 15:04:05"), span(x.Begins.Sub(t.now)))
	}
	say(x.Losses+x.Faults > 0, "tries that were lost: %d; that a slave, the network or the upstream spoiled: %d", x.Losses, x.Faults)
	say(x.Wheel != "", "pip takes %s from the upstream", x.Wheel)
	say(x.Active && x.Verdict.State == farm.Queued && x.State != farm.Built && x.State != farm.Covered, "the policy: build it (%s)", x.Verdict.Priority)
	say(x.Active && x.Verdict.State != farm.Queued && x.Verdict.Reason != x.Reason, "the policy: %s: %s", x.Verdict.State, cli.OneLine(x.Verdict.Reason))
	say(x.Verdict.Planned != "" && x.Verdict.Planned != x.State, "with the next agreement it becomes %s", x.Verdict.Planned)
	say(!x.Active, "the target is retired: nobody is given its jobs")
	say(x.Active && !x.Live && !x.State.Ended(), "no slave that builds for this target was heard for an hour")
	return list
}

// learntWords say where memory that no recipe wants was learnt.
func (x whyTarget) learntWords() string {
	switch {
	case x.Needs.Memory <= x.RecipeMemory:
		return ""
	case x.Learnt == 0:
		return "; so much memory was learnt from a build; `master requeue` forgets it"
	}
	return fmt.Sprintf("; so much memory was learnt from build %d, which ran out of it; `master requeue` forgets that", x.Learnt)
}

// needsWords are needs for people.
func needsWords(n farm.Needs) string {
	var words []string
	if n.Memory > 0 {
		words = append(words, gigabytes(n.Memory)+" of memory")
	}
	return strings.Join(append(words, n.Packages...), ", ")
}

// remedy is the command that changes it, if there is one.
func (a *whyAnswer) remedy(r whyRelease, x whyTarget) string {
	switch {
	case x.State == farm.Failed && x.Active && x.Verdict.State == farm.Queued:
		return fmt.Sprintf("to try again: master requeue --package %s --version %s --target %s", a.Package, r.Version, x.Target)
	case x.Why == farm.WhyByHand && x.State == farm.Skipped:
		return "to have it built: " + a.unskip(r.Version, x.Target)
	case x.State == "" && x.Active && x.Verdict.State == farm.Queued:
		return fmt.Sprintf("to have it built: master add %s %s", a.Package, r.Version)
	}
	return ""
}

// unskip are the commands that lift what was said of a release on a target, and no
// more than that.
func (a *whyAnswer) unskip(version, target string) string {
	var commands []string
	for _, s := range a.Skips { // the widest first
		if s.Version != "" && s.Version != version && !sameVersion(s.Version, version) || s.Target != "" && s.Target != target {
			continue
		}
		if s.Version != "" && s.Target != "" && len(commands) > 0 { // what lifts one of them lifts both
			continue
		}
		command := "master unskip " + strings.Join(append([]string{a.Package}, versionsIn(s)...), " ")
		if s.Target != "" {
			command += " --target " + s.Target
		}
		commands = append(commands, command)
		if s.Version == "" && s.Target == "" { // which lifts the others too
			break
		}
	}
	return strings.Join(commands, "; ")
}
