package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// takeRecipesBack makes the recipes what they were before a change with these edits;
// nil: it was none. What jobs need is adjusted later, by recipesOver: those that are put
// back first stand then as they stood.
func (u *Undone) takeRecipesBack(ctx context.Context, tx pgx.Tx, edits []farm.RecipeEdit, actor string) (*recipeChange, error) {
	if len(edits) == 0 {
		return nil, nil
	}
	c := &recipeChange{tx: tx, actor: actor, back: true}
	err := c.begin(ctx, func(have []farm.ScopedRecipe) ([]farm.RecipeEdit, error) {
		var list []farm.RecipeEdit
		for _, e := range edits {
			now := slices.IndexFunc(have, func(r farm.ScopedRecipe) bool { return r.Scope == e.Scope() })
			switch {
			case now < 0 && e.After == nil:
				list = append(list, farm.RecipeEdit{After: e.Before})
			case now >= 0 && e.After != nil && sameWord(have[now], *e.After):
				list = append(list, farm.RecipeEdit{Before: &have[now], After: e.Before})
			default:
				return nil, changedSince(ctx, tx, u.Of.ID, e.Scope())
			}
		}
		return list, nil
	})
	if err != nil {
		return nil, err
	}
	return c, c.write(ctx)
}

// sameWord says whether a recipe is what it was when somebody said so.
func sameWord(a, b farm.ScopedRecipe) bool {
	return a.Recipe.Equal(b.Recipe) && a.Reason == b.Reason && a.Author == b.Author
}

// changedSince names the change that comes first to be taken back.
func changedSince(ctx context.Context, tx pgx.Tx, audit int64, scope farm.Scope) error {
	const q = `
select a.id, a.actor from audit_trail a
cross join lateral jsonb_array_elements(a.detail -> 'edits') e
cross join lateral (select coalesce(nullif(e -> 'after', 'null'), e -> 'before') as of) r
where a.id > $1 and a.action in ('recipe', 'undo') and a.undone_by is null
and r.of ->> 'package' = $2 and coalesce(r.of ->> 'versions', '') = $3 and coalesce(r.of ->> 'target', '') = $4
order by a.id desc limit 1 -- the newest: the one before it can be taken back then`
	var later int64
	var who string
	err := tx.QueryRow(ctx, q, audit, scope.Package, scope.Versions, scope.Target).Scan(&later, &who)
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("%w: the recipe for %s was changed since; `master recipe list` shows it", farm.ErrConflict, scope)
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: %s changed the recipe for %s since (audit %d); take that back first", farm.ErrConflict, who, scope, later)
}

// recipesOver has all jobs need what the recipes say again, and counts those that have
// failed, beside those that have again by this.
func (u *Undone) recipesOver(ctx context.Context, c *recipeChange, over []int64) error {
	if c == nil {
		return nil
	}
	c.put = map[int64]bool{}
	for _, id := range over {
		c.put[id] = true
	}
	if err := c.survey(ctx); err != nil {
		return err
	}
	u.Recipes, u.Others = c.edits, c.others
	return c.adjust(ctx)
}
