package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// RecipeEffect is what a change of recipes does to jobs that have not ended well.
type RecipeEffect struct {
	Requeued int64 `json:"requeued"` // failed, and queued again
	Queued   int64 `json:"queued"`   // waiting for their turn: they will be built by what holds now
	Leased   int64 `json:"leased"`   // under way: they go on with what held when they began
	Kept     int64 `json:"kept"`     // failed of what the change cannot help
}

// RecipeChange is one edit and the jobs whose recipe is another one by it. A job
// that two edits touch is counted for both.
type RecipeChange struct {
	farm.RecipeEdit
	RecipeEffect
}

// RecipesChanged is what ChangeRecipes did.
type RecipesChanged struct {
	Audit   int64          `json:"audit"` // by which it can be taken back; 0: nothing was changed
	Changes []RecipeChange `json:"changes"`
	RecipeEffect
}

// errDryRun undoes what was only to be looked at.
var errDryRun = errors.New("nothing was changed")

// maxTouched bounds the rows that one change writes: nobody is given their jobs, and
// nobody makes new ones, until it is done.
const maxTouched = 1_000_000

// ChangeRecipes makes the edits that decide wants of the recipes that there are,
// and with them all that follows, in one transaction: failed jobs whose recipe is
// another one now are queued again, but for those that it cannot help, and what jobs
// need of a slave is as the recipes say. Changing nothing leaves no trace. With dry
// it only says what it would do. Undo takes it back.
//
// Recipes that name a target which is none of the farm's are refused, so that a
// slip of the pen is not a recipe for nothing.
func (s *Store) ChangeRecipes(ctx context.Context, actor string, dry bool,
	decide func(have []farm.ScopedRecipe) ([]farm.RecipeEdit, error)) (out RecipesChanged, err error) {
	err = untangled(func() error {
		c := recipeChange{actor: actor}
		err := s.inTx(ctx, "change recipes", func(tx pgx.Tx) error {
			c.tx = tx
			if err := c.run(ctx, decide); err != nil || !dry {
				return err
			}
			return errDryRun
		})
		if out = c.out; dry {
			out.Audit = 0
		}
		if c.refused != nil { // in its own words
			return c.refused
		}
		return err
	})
	if errors.Is(err, errDryRun) {
		return out, nil
	}
	if err != nil {
		out = RecipesChanged{}
	}
	return out, err
}

// recipeChange is one transaction of ChangeRecipes.
type recipeChange struct {
	tx         pgx.Tx
	actor      string
	back       bool           // it takes another one back: failed jobs stay so
	put        map[int64]bool // by which these jobs are again what they were
	others     int64          // other failed jobs, that may end otherwise by this
	refused    error          // the edits are not to be made
	edits      []farm.RecipeEdit
	old, new   farm.RecipeBook
	scopes     []farm.RecipeBook // of the edits, one each
	out        RecipesChanged
	again      []int64 // jobs that are queued again
	needy      []int64 // other jobs whose needs change
	againNeeds needsColumns
	needyNeeds needsColumns
}

func (c *recipeChange) run(ctx context.Context, decide func([]farm.ScopedRecipe) ([]farm.RecipeEdit, error)) error {
	if err := c.begin(ctx, decide); err != nil || len(c.edits) == 0 {
		return err
	}
	for _, step := range []func(context.Context) error{c.write, c.survey, c.adjust, c.number, c.requeue, c.wake, c.note} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// begin finds what is to be edited, and nobody edits anything meanwhile.
func (c *recipeChange) begin(ctx context.Context, decide func([]farm.ScopedRecipe) ([]farm.RecipeEdit, error)) error {
	// From here on nobody makes jobs by the recipes of now.
	if _, err := c.tx.Exec(ctx, `select pg_advisory_xact_lock($1, $2)`, attendSpace, recipesKey); err != nil {
		return err
	}
	rows, err := c.tx.Query(ctx, allRecipes)
	if err != nil {
		return err
	}
	have, err := pgx.CollectRows(rows, scanRecipe)
	if err != nil {
		return err
	}
	if c.edits, c.refused = decide(have); c.refused != nil || len(c.edits) == 0 {
		return c.refused
	}
	targets, err := c.targets(ctx)
	if err != nil {
		return err
	}
	if c.refused = c.check(targets); c.refused != nil {
		return c.refused
	}
	c.refused = c.openBooks(have)
	return c.refused
}

func (c *recipeChange) openBooks(have []farm.ScopedRecipe) (err error) {
	if c.old, err = farm.NewRecipeBook(have); err != nil {
		return err
	}
	if c.new, err = farm.NewRecipeBook(farm.ApplyRecipes(have, c.edits)); err != nil {
		return err
	}
	for _, e := range c.edits {
		scope, err := farm.NewRecipeBook([]farm.ScopedRecipe{{Scope: e.Scope()}})
		if err != nil {
			return err
		}
		c.scopes = append(c.scopes, scope)
	}
	return nil
}

func (c *recipeChange) targets(ctx context.Context) ([]string, error) {
	rows, err := c.tx.Query(ctx, `select name from targets`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// check refuses what no recipe may say, and those for targets that there are not.
func (c *recipeChange) check(targets []string) error {
	for _, e := range c.edits {
		if e.After == nil {
			continue
		}
		if e.After.Author == "" {
			e.After.Author = c.actor
		}
		if err := e.After.Check(); err != nil {
			return err
		}
		if e.After.Target != "" && !slices.Contains(targets, e.After.Target) {
			return fmt.Errorf("recipe %s: %s is not one of this farm's targets; `master target list` lists them", e.After.Scope, e.After.Target)
		}
	}
	return nil
}

func (c *recipeChange) write(ctx context.Context) error {
	for _, e := range c.edits {
		c.out.Changes = append(c.out.Changes, RecipeChange{RecipeEdit: e})
		if e.After != nil {
			if err := insertRecipe(ctx, c.tx, e.After); err != nil {
				return err
			}
			continue
		}
		if _, err := c.tx.Exec(ctx, `delete from recipes where id = $1`, e.Before.ID); err != nil {
			return err
		}
	}
	_, err := c.tx.Exec(ctx, `update recipe_book set revision = revision + 1`)
	return err
}

// touchable are the jobs that a change may touch: those of the named packages that
// have not ended well. What is built stays so. What is covered or skipped may be
// queued one day, and must need then what the recipes say, if they say anything.
const touchable = `
with mine as (
    select id from packages where name = any($1)
    union
    select id from packages where cardinality($2::text[]) > 0 and name like any($2)
)
select j.id, p.name, r.version, t.name, j.state, ` + held + `, j.why,
       case when j.why = 'requirement' then 'build-requirement' else j.cause end, j.needs_memory, coalesce(j.needs_packages, '{}'),
       coalesce(j.learnt_memory, 0)
from mine m
join packages p on p.id = m.id
join releases r on r.package_id = p.id
join jobs j on j.release_id = r.id
join targets t on t.id = j.target_id
where j.state in ('waiting', 'queued', 'leased', 'failed') or $3 and j.state in ('covered', 'skipped')`

// touched is a job that a change may touch.
type touched struct {
	id                   int64
	pkg, version, target string
	state                farm.State
	held                 farm.Why // why it is not to be tried again, whoever asks
	why                  farm.Why
	cause                farm.Cause
	needs                farm.Needs
	learnt               int64 // bytes of memory, from builds that ran out of it
}

// over says whether its build has failed, be it only until a requirement is there.
func (j touched) over() bool {
	return j.state == farm.Failed || j.state == farm.Waiting && j.why == farm.WhyRequirement
}

// survey finds what is to be done, and counts.
func (c *recipeChange) survey(ctx context.Context) error {
	var exact, patterns []string
	needs := false
	for _, e := range c.edits {
		needs = needs || e.Before != nil && !e.Before.Needs().IsZero() || e.After != nil && !e.After.Needs().IsZero()
		if s := e.Scope(); s.Exact() {
			exact = append(exact, s.Package)
		} else {
			patterns = append(patterns, s.Like())
		}
	}
	rows, err := c.tx.Query(ctx, touchable, exact, patterns, needs)
	if err != nil {
		return err
	}
	var j touched
	into := []any{&j.id, &j.pkg, &j.version, &j.target, (*string)(&j.state), (*string)(&j.held), (*string)(&j.why), (*string)(&j.cause), &j.needs.Memory, &j.needs.Packages, &j.learnt}
	_, err = pgx.ForEachRow(rows, into, func() error {
		c.judge(j, c.ask(j))
		if len(c.again)+len(c.needy) > maxTouched {
			c.refused = fmt.Errorf("this changes more than %d jobs at once: name fewer packages, versions or targets", maxTouched)
		}
		return c.refused
	})
	return err
}

// bookAnswer is what the change makes of one release on one target.
type bookAnswer struct {
	before, after farm.Recipe
	edits         []int // of which this is
}

func (c *recipeChange) ask(j touched) (a bookAnswer) {
	for i, scope := range c.scopes {
		if len(scope.All(j.pkg, j.version, j.target)) > 0 {
			a.edits = append(a.edits, i)
		}
	}
	if len(a.edits) == 0 {
		return a
	}
	a.before, a.after = c.old.For(j.pkg, j.version, j.target), c.new.For(j.pkg, j.version, j.target)
	if a.before.Equal(a.after) { // a more specific one says it all
		a.edits = nil
	}
	return a
}

// judge notes what becomes of one job.
func (c *recipeChange) judge(j touched, a bookAnswer) {
	if len(a.edits) == 0 {
		return
	}
	again := j.over() && j.held == "" && farm.RecipeMatters(j.cause, a.before, a.after)
	if again && c.back {
		again = false
		if j.state == farm.Failed && !c.put[j.id] {
			c.others++
		}
	}
	want, learnt := j.wanted(a)
	if again {
		c.again = append(c.again, j.id)
		c.againNeeds.add(want, learnt)
	} else if !want.Equal(j.needs) || learnt != j.learnt {
		c.needy = append(c.needy, j.id)
		c.needyNeeds.add(want, learnt)
	}
	var count func(*RecipeEffect) *int64
	switch {
	case again:
		count = func(e *RecipeEffect) *int64 { return &e.Requeued }
	case j.state == farm.Failed:
		count = func(e *RecipeEffect) *int64 { return &e.Kept }
	case j.state == farm.Queued || j.state == farm.Waiting:
		count = func(e *RecipeEffect) *int64 { return &e.Queued }
	case j.state == farm.Leased:
		count = func(e *RecipeEffect) *int64 { return &e.Leased }
	default:
		return
	}
	*count(&c.out.RecipeEffect)++
	for _, i := range a.edits {
		*count(&c.out.Changes[i].RecipeEffect)++
	}
}

// wanted is what a job needs from now on, and the part of it that was learnt from builds
// that ran out of memory: that stays, also below what the recipe says now.
func (j touched) wanted(a bookAnswer) (want farm.Needs, learnt int64) {
	want, learnt = a.after.Needs(), j.learnt
	if j.needs.Memory != max(a.before.Memory, learnt) { // by a program of before
		learnt = max(learnt, j.needs.Memory)
	}
	want.Memory = max(want.Memory, learnt)
	return want, learnt
}

// needsColumns are needs as columns of a statement, the packages joined by blanks.
type needsColumns struct {
	memory   []int64
	packages []string
	learnt   []int64
}

func (n *needsColumns) add(needs farm.Needs, learnt int64) {
	n.memory, n.packages = append(n.memory, needs.Memory), append(n.packages, strings.Join(needs.Packages, " "))
	n.learnt = append(n.learnt, learnt)
}

// takesNeeds sets what x says of a job's needs.
const takesNeeds = `needs_memory = x.memory, needs_packages = string_to_array(nullif(x.packages, ''), ' '),
    learnt_memory = nullif(x.learnt, 0)`

func (c *recipeChange) adjust(ctx context.Context) error {
	if len(c.needy) == 0 {
		return nil
	}
	const q = `
update jobs j set ` + takesNeeds + `
from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[]) as x (id, memory, packages, learnt)
where j.id = x.id`
	_, err := c.tx.Exec(ctx, q, c.needy, c.needyNeeds.memory, c.needyNeeds.packages, c.needyNeeds.learnt)
	return err
}
