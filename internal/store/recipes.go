package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

const allRecipes = `
select id, package, versions, target, env, timeout, memory, jobs, network, pip_options, constraints, apt,
       reason, author, at
from recipes order by package collate "C", versions collate "C", target collate "C"`

// Recipes lists the farm's recipes, sorted by what they are for.
func (s *Store) Recipes(ctx context.Context) ([]farm.ScopedRecipe, error) {
	rows, err := s.pool.Query(ctx, allRecipes)
	if err != nil {
		return nil, fmt.Errorf("list recipes: %w", translate(err))
	}
	out, err := pgx.CollectRows(rows, scanRecipe)
	if err != nil {
		return nil, fmt.Errorf("list recipes: %w", translate(err))
	}
	return out, nil
}

func scanRecipe(row pgx.CollectableRow) (r farm.ScopedRecipe, err error) {
	err = row.Scan(&r.ID, &r.Package, &r.Versions, &r.Target, &r.Env, &r.Timeout, &r.Memory, &r.Jobs, &r.Network,
		&r.PipOptions, &r.Constraints, &r.Recipe.Packages, &r.Reason, &r.Author, &r.At)
	return r, err
}

// bookCache is the recipes as this process read them last.
type bookCache struct {
	mu       sync.Mutex
	known    bool
	revision int64
	book     farm.RecipeBook
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// get is the book of that revision, if it is the one that was read last.
func (c *bookCache) get(revision int64) (farm.RecipeBook, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.book, c.known && c.revision == revision
}

func (c *bookCache) keep(revision int64, book farm.RecipeBook) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known, c.revision, c.book = true, revision, book
}

// bookOf is the book of that revision, or of a later one. Nobody waits for another
// one's reading: he might hold the connection that it needs.
func (s *Store) bookOf(ctx context.Context, q querier, revision int64) (farm.RecipeBook, error) {
	if book, ok := s.books.get(revision); ok {
		return book, nil
	}
	book, err := readBook(ctx, q)
	if err != nil {
		return farm.RecipeBook{}, err
	}
	// What was read is of that revision or newer; if newer, the next to ask reads again.
	s.books.keep(revision, book)
	return book, nil
}

func readBook(ctx context.Context, q querier) (farm.RecipeBook, error) {
	rows, err := q.Query(ctx, allRecipes)
	if err != nil {
		return farm.RecipeBook{}, fmt.Errorf("read the recipes: %w", translate(err))
	}
	list, err := pgx.CollectRows(rows, scanRecipe)
	if err != nil {
		return farm.RecipeBook{}, fmt.Errorf("read the recipes: %w", translate(err))
	}
	// One that another program wrote by other rules would keep every job that it is for
	// from being sent.
	list = slices.DeleteFunc(list, func(r farm.ScopedRecipe) bool { return r.Check() != nil })
	book, err := farm.NewRecipeBook(list)
	if err != nil {
		return farm.RecipeBook{}, fmt.Errorf("read the recipes: %w", err)
	}
	return book, nil
}

// recipeHint is what a claim finds of a recipe: what is needed of the others is in
// memory, if they are of this revision.
type recipeHint struct {
	memory   int64 // that the job needs
	revision int64
}

// addRecipe puts the recipe of now into a lease.
func (s *Store) addRecipe(ctx context.Context, l *farm.Lease, hint recipeHint) error {
	book, err := s.bookOf(ctx, s.pool, hint.revision)
	if err != nil || book.Empty() {
		return err
	}
	l.Recipe = recipeOf(book, l.Package, l.Version, l.Target, hint)
	return nil
}

// recipeOf is the recipe that a job's lease has. A limit of memory grows with what
// was learnt that the job needs: else it would run out again, on a larger slave.
func recipeOf(book farm.RecipeBook, pkg, version string, on farm.Target, hint recipeHint) farm.Recipe {
	r := book.For(pkg, version, on.String())
	if r.Memory > 0 {
		r.Memory = min(max(r.Memory, hint.memory), farm.MaxRecipeMemory)
	}
	return r
}

// currentBook reads the book in a transaction that makes jobs; until its end nobody
// changes recipes. Two statements, for the second must see what the first waited for.
func (s *Store) currentBook(ctx context.Context, tx pgx.Tx) (farm.RecipeBook, error) {
	var turn pgx.Batch
	turn.Queue(`select pg_advisory_xact_lock_shared($1, $2)`, attendSpace, recipesKey)
	turn.Queue(`select revision from recipe_book`)
	results := tx.SendBatch(ctx, &turn)
	_, err := results.Exec()
	var revision int64
	if err == nil {
		err = results.QueryRow().Scan(&revision)
	}
	if e := results.Close(); err == nil {
		err = e
	}
	if err != nil {
		return farm.RecipeBook{}, fmt.Errorf("read the recipes: %w", err)
	}
	return s.bookOf(ctx, tx, revision)
}

// insertRecipe writes a recipe in place of the one of its scope, as of now, unless it
// says of when it is.
func insertRecipe(ctx context.Context, tx pgx.Tx, r *farm.ScopedRecipe) error {
	const q = `
insert into recipes (package, versions, target, env, timeout, memory, jobs, network, pip_options, constraints, apt, reason, author, at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, coalesce($14, now()))
on conflict (package, versions, target) do update set
    env = excluded.env, timeout = excluded.timeout, memory = excluded.memory, jobs = excluded.jobs,
    network = excluded.network, pip_options = excluded.pip_options, constraints = excluded.constraints, apt = excluded.apt,
    reason = excluded.reason, author = excluded.author, at = excluded.at
returning id, at`
	env := r.Env
	if env == nil {
		env = map[string]string{}
	}
	body, err := json.Marshal(env)
	if err != nil {
		return err
	}
	return tx.QueryRow(ctx, q, r.Package, r.Versions, r.Target, body, r.Timeout, r.Memory, r.Jobs, r.Network,
		append([]string{}, r.PipOptions...), append([]string{}, r.Constraints...), append([]string{}, r.Recipe.Packages...), r.Reason, r.Author, knownTime(r.At)).Scan(&r.ID, &r.At)
}
