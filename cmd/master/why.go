package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/ingest"
	"pinwheel/internal/pep"
	"pinwheel/internal/store"
)

func newWhy() *cobra.Command {
	var set settings
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "why PACKAGE [VERSION]",
		Short: "Why something was, was not, or will be built",
		Long: `why tells of one release, for each target, what became of it and why: its state, what
the policy says, how many jobs are before it, what it waits for, who skipped it, each
build with its cause and the command that prints its log, the wheels and where they are
served, and the upstream's wheel that pip would take. Without a version it lists all
releases of PACKAGE: a failure by its cause, and in brackets why one is skipped.`,
		Example: "  master why lxml\n  master why lxml 5.2.1",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, version, err := pep.ParsePin(args[0])
			if err != nil {
				return cli.Usage("%w", err)
			}
			if len(args) == 2 {
				if version != "" || args[1] == "" {
					return cli.Usage("why: name one version of %s", args[0])
				}
				version = args[1]
			}
			return visit(cmd, set, func(ctx context.Context, h *home, log zerolog.Logger) error {
				q := question{st: h.Store, log: log, name: pep.NormalizeName(name), version: version, now: time.Now()}
				answer, err := q.look(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					return cli.JSON(cmd.OutOrStdout(), answer)
				}
				answer.print(teller{out: cmd.OutOrStdout(), wide: tableWidth(cmd.OutOrStdout()), now: q.now})
				return nil
			})
		},
	}
	set.stateFlag(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// whyAnswer is what there is to say of a package.
type whyAnswer struct {
	Schema       int          `json:"schema"`
	Package      string       `json:"package"`
	Display      string       `json:"display"`   // as its authors write it now
	Spellings    []string     `json:"spellings"` // all that were seen
	Status       string       `json:"status"`    // PEP 792
	StatusReason string       `json:"status_reason"`
	Followed     bool         `json:"followed"`
	Read         time.Time    `json:"read_at"`
	Unread       *whyUnread   `json:"unread"` // the upstream has, or may have, something newer; nil: no
	Skips        []store.Skip `json:"skips"`
	Releases     []whyRelease `json:"releases"` // the newest first; of one that was asked for only that
	one          bool         // it was
	site         string       // base URL of the site; empty: nobody served it yet
}

// whyUnread is why the farm may not have what the upstream has.
type whyUnread struct {
	Since   time.Time `json:"since"` // when the project was to be read again
	Tries   int       `json:"tries"` // that went wrong
	Trouble string    `json:"trouble"`
}

// whyRelease is one release; builds and wheels only of one that was asked for.
type whyRelease struct {
	Version        string      `json:"version"`
	Released       time.Time   `json:"released_at"`
	Yanked         bool        `json:"yanked"`
	YankReason     string      `json:"yank_reason"`
	Quarantined    bool        `json:"quarantined"`
	RequiresPython string      `json:"requires_python"`
	Sdist          string      `json:"sdist"` // empty: none
	SdistSize      int64       `json:"sdist_size"`
	Targets        []whyTarget `json:"targets"`
	Wheels         []whyWheel  `json:"wheels"`
}

type whyWheel struct {
	Filename string `json:"filename"`
	Target   string `json:"target"`
	Size     int64  `json:"size"`
	Page     string `json:"page"` // where pip finds it; empty: nowhere
	Withheld bool   `json:"withheld"`
	CopyOf   string `json:"copy_of"`   // the wheel that it is a copy of, for armv6l; empty: none
	NoARMv6l string `json:"no_armv6l"` // why it has no such copy; empty: it has one, or needs none
}

// whyTarget is a release on a target.
type whyTarget struct {
	Target   string     `json:"target"`
	Active   bool       `json:"active"`
	Live     bool       `json:"live"`  // a slave was heard that builds for it
	State    farm.State `json:"state"` // empty: there is no job
	Why      farm.Why   `json:"why"`
	Reason   string     `json:"reason"`
	Since    time.Time  `json:"since"`
	Priority string     `json:"priority"`
	Begins   time.Time  `json:"not_before"`
	Losses   int        `json:"losses"`
	Faults   int        `json:"faults"`
	Cause    string     `json:"cause"`
	Detail   string     `json:"detail"`
	Hint     string     `json:"hint"`
	Slave    string     `json:"slave"`
	Waits    string     `json:"waits_for"` // the target whose outcome it waits for
	Ahead    int64      `json:"ahead"`     // jobs before it, of a queued one; at most store.AheadCounted
	Needs    farm.Needs `json:"needs"`     // of a slave
	Lack     farm.Needs `json:"lack"`      // of that, what no live slave has; of a queued one
	// Of the memory that it needs, the recipes say so much; of what is more, Learnt is
	// the build that ran out of it. 0: none.
	RecipeMemory int64      `json:"recipe_memory"`
	Learnt       int64      `json:"learnt_from"`
	Recipes      []string   `json:"recipes"` // that are for it, general ones first
	Wheel        string     `json:"upstream_wheel"`
	Verdict      whyVerdict `json:"policy"`
	Builds       []whyBuild `json:"builds"` // the newest first
}

type whyVerdict struct {
	State    farm.State `json:"state"`
	Why      farm.Why   `json:"why"`
	Reason   string     `json:"reason"`
	Priority string     `json:"priority"`
	Planned  farm.State `json:"planned"` // what the next agreement makes of the job
}

type whyBuild struct {
	ID      int64     `json:"build"`
	Slave   string    `json:"slave"`
	Started time.Time `json:"started_at"`
	Outcome string    `json:"outcome"` // empty: under way
	Cause   string    `json:"cause"`
	Detail  string    `json:"detail"`
	Hint    string    `json:"hint"`
	Seconds float64   `json:"seconds"`
	Log     bool      `json:"log"`

	Record farm.Record `json:"record"` // how it was made (docs/build-record.md)
}

// question is what somebody wants to know.
type question struct {
	st            *store.Store
	log           zerolog.Logger
	name, version string
	now           time.Time
}

func (q question) look(ctx context.Context) (*whyAnswer, error) {
	policy, err := plannedPolicy(ctx, q.st)
	if err != nil {
		return nil, err
	}
	known, explained, err := ingest.New(ingest.Config{Store: q.st, Policy: policy, Log: q.log}).Explain(ctx, q.name)
	if errors.Is(err, farm.ErrNotFound) {
		return nil, q.unknown(ctx)
	}
	if err != nil {
		return nil, err
	}
	a := &whyAnswer{Schema: 1, Package: known.Name, Display: known.Display, Spellings: append([]string{}, known.Spellings...),
		Status: known.Status, StatusReason: known.StatusReason, Followed: known.Followed, Read: known.Read, one: q.version != "", Releases: []whyRelease{}}
	if a.Unread, err = q.unread(ctx); err != nil {
		return nil, err
	}
	if a.Skips, err = q.st.Skips(ctx, []string{q.name}); err != nil {
		return nil, err
	}
	if a.site, err = q.st.Settled(ctx, store.SiteSetting); err != nil {
		return nil, err
	}
	jobs, err := q.jobs(ctx, known)
	if err != nil {
		return nil, err
	}
	for i, r := range known.Releases {
		if a.one && r.Raw != q.version && !sameVersion(r.Version, q.version) {
			continue
		}
		one, err := q.release(ctx, a, r, explained[i], jobs)
		if err != nil {
			return nil, err
		}
		a.Releases = append(a.Releases, one)
	}
	if a.one && len(a.Releases) == 0 {
		return nil, q.noVersion(a)
	}
	slices.SortStableFunc(a.Releases, func(x, y whyRelease) int { return y.Released.Compare(x.Released) })
	return a, nil
}

// noVersion says that the farm does not have a version of a package that it knows.
func noVersion(name, version string) error {
	return fmt.Errorf("the farm has no %s %s; `master why %s` lists what it has, `master add %s %s` asks the upstream", name, version, name, name, quoted(version))
}

// noVersion says what became of the version that was asked for.
func (q question) noVersion(a *whyAnswer) error {
	for _, s := range a.Skips {
		if s.Removed && s.Version != "" && sameVersion(s.Version, q.version) {
			return fmt.Errorf("%s %s was removed by %s %s ago; `master add %s %s` brings it back", q.name, s.Version, s.Author, span(q.now.Sub(s.At)), q.name, quoted(s.Version))
		}
	}
	if a.Unread != nil {
		return fmt.Errorf("the farm has no %s %s yet: %s", q.name, q.version, a.Unread.words(q.now))
	}
	return noVersion(q.name, q.version)
}

// unread is what keeps a package from being read again; nil: nothing does.
func (q question) unread(ctx context.Context) (*whyUnread, error) {
	r, ok, err := q.st.ReadingOf(ctx, q.name)
	if err != nil || !ok || r.Urgency == farm.UrgencyAged && r.Trouble == "" { // nothing was heard of it, and that is all
		return nil, err
	}
	return &whyUnread{Since: r.Since, Tries: r.Tries, Trouble: r.Trouble}, nil
}

// knownPackage finds a package; for one that the farm does not have it says what is
// known of it.
func knownPackage(ctx context.Context, st *store.Store, name string) (store.Known, error) {
	known, err := st.KnownProjects(ctx, []string{name})
	if err == nil && known[name].ID == 0 {
		err = question{st: st, name: name, now: time.Now()}.unknown(ctx)
	}
	return known[name], err
}

// unknown says what the farm knows of a package that it does not have.
func (q question) unknown(ctx context.Context) error {
	skips, err := q.st.Skips(ctx, []string{q.name})
	if err != nil {
		return err
	}
	for _, s := range skips {
		if s.Removed && s.Version == "" {
			return fmt.Errorf("%s was removed by %s %s ago; `master add %s` brings it back", q.name, s.Author, span(q.now.Sub(s.At)), q.name)
		}
	}
	r, ok, err := q.st.ReadingOf(ctx, q.name)
	switch {
	case err != nil:
		return err
	case ok && r.Trouble != "":
		return fmt.Errorf("%s is not known yet: it could not be read from the upstream: %s", q.name, r.Trouble)
	case ok:
		return fmt.Errorf("%s is not known yet: it is to be read from the upstream, since %s", q.name, span(q.now.Sub(r.Since)))
	}
	return fmt.Errorf("%s is not known; `master add %s` adds it", q.name, q.name)
}

// jobs are those of the release that was asked for, or of all, by their id.
func (q question) jobs(ctx context.Context, known store.Known) (map[int64]store.JobRow, error) {
	rows, err := q.st.Jobs(ctx, store.Selector{Package: known.Name})
	if err != nil {
		return nil, err
	}
	out := make(map[int64]store.JobRow, len(rows))
	for _, j := range rows {
		out[j.ID] = j
	}
	return out, nil
}

func (q question) release(ctx context.Context, a *whyAnswer, r store.KnownRelease, on []ingest.Explained, jobs map[int64]store.JobRow) (whyRelease, error) {
	out := whyRelease{Version: r.Version, Released: r.Released, Yanked: r.Yanked, YankReason: r.YankReason, Quarantined: r.Quarantined,
		RequiresPython: r.RequiresPython, Sdist: r.Sdist.Filename, SdistSize: r.Sdist.Size, Targets: []whyTarget{}, Wheels: []whyWheel{}}
	names := map[int64]string{}
	for _, e := range on {
		names[e.Target.ID] = e.Target.Target.String()
	}
	for _, e := range on {
		t := newWhyTarget(e, names)
		if e.Job != nil {
			t.job(jobs[e.Job.ID])
			if err := q.details(ctx, a.one, &t, e.Job.ID); err != nil {
				return out, err
			}
		}
		out.Targets = append(out.Targets, t)
	}
	if !a.one {
		return out, nil
	}
	wheels, err := q.st.WheelsOf(ctx, r.ID)
	if err != nil {
		return out, err
	}
	for _, w := range wheels {
		one := whyWheel{Filename: w.Filename, Target: w.Target, Size: w.Size, Withheld: w.Withheld,
			CopyOf: w.CopyOf, NoARMv6l: w.NoARMv6l}
		if a.site != "" && !w.Withheld {
			one.Page = a.site + "/simple/" + a.Package + "/"
		}
		out.Wheels = append(out.Wheels, one)
	}
	return out, nil
}

func newWhyTarget(e ingest.Explained, names map[int64]string) whyTarget {
	t := whyTarget{Target: e.Target.Target.String(), Active: e.Target.Active, Live: e.Live, Wheel: e.Wheel, Builds: []whyBuild{}, Recipes: []string{},
		Verdict: whyVerdict{State: e.Verdict.State, Why: e.Verdict.Why, Reason: e.Verdict.Reason, Priority: e.Verdict.Priority.Word(), Planned: e.Plan.State}}
	if e.Job != nil {
		t.Why, t.Waits = e.Job.Why, names[e.Job.Waits]
	}
	return t
}

func (t *whyTarget) job(j store.JobRow) {
	t.State, t.Reason, t.Since, t.Priority, t.Begins = j.State, j.Reason, j.Changed, j.Priority.Word(), j.Begins
	t.Losses, t.Faults, t.Cause, t.Detail, t.Hint, t.Slave = j.Losses, j.Faults, j.Cause, j.Detail, j.Hint, j.Slave
}

// details are what one more question is asked for, each.
func (q question) details(ctx context.Context, one bool, t *whyTarget, job int64) (err error) {
	if !one {
		return nil
	}
	if t.State == farm.Queued {
		if t.Ahead, err = q.st.Ahead(ctx, job); err != nil {
			return err
		}
	}
	if !t.State.Ended() || t.State == farm.Failed {
		n, err := q.st.JobNeeds(ctx, job)
		if err != nil {
			return err
		}
		t.Needs, t.Learnt, t.Recipes = n.Needs, n.Learnt, append([]string{}, n.Recipe.From...)
		if t.RecipeMemory = n.Recipe.Memory; t.State == farm.Queued {
			t.Lack = n.Lack
		}
	}
	builds, err := q.st.BuildsOf(ctx, job)
	if err != nil {
		return err
	}
	for _, b := range builds {
		t.Builds = append(t.Builds, whyBuild{ID: b.ID, Slave: b.Slave, Started: b.Started, Outcome: b.Outcome, Cause: b.Cause,
			Detail: b.Detail, Hint: b.Hint, Seconds: b.Seconds, Log: b.LogSHA256 != "", Record: b.Record})
	}
	return nil
}
