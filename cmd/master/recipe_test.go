package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"pinwheel/internal/agent"
	"pinwheel/internal/farm"
	"pinwheel/internal/farmtest"
	"pinwheel/internal/pypitest"
	"pinwheel/internal/store"
)

// recipe makes a recipe for one package on the farm.
func (f *testFarm) recipe(pkg string, r farm.Recipe) store.RecipesChanged {
	f.t.Helper()
	done, err := f.Store.ChangeRecipes(f.t.Context(), "test", false, func(have []farm.ScopedRecipe) ([]farm.RecipeEdit, error) {
		return farm.SetRecipe(have, farm.ScopedRecipe{Scope: farm.Scope{Package: pkg}, Recipe: r, Reason: "test"}), nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return done
}

// TestRecipeFindsItsSlave: a package that fails is built once it has a recipe and a
// slave has what that wants; the slave tells so by itself when it was installed.
func TestRecipeFindsItsSlave(t *testing.T) {
	t.Parallel()
	upstream := pypitest.New(t, "-- fails==1.0 --\nkind: fails\n")
	f := newTestFarm(t, upstream.URL(), farm.Limits{})
	f.end() // with shorter leases, for the beats
	set := f.Settings
	set.Lease = 3 * time.Second
	f.start(set)
	creds, err := enroll(t.Context(), f.home, "one", farm.RoleSlave)
	if err != nil {
		t.Fatal(err)
	}
	dpkg := filepath.Join(f.dir, "status")
	farmtest.StartSlave(t, f.NATSURL, creds, filepath.Join(f.dir, "one"), f.py, func(c *agent.Config) { c.Targets[0].Dpkg = dpkg })
	f.add("fails==1.0")
	f.quiet()
	if got := f.outcomes()["fails"]; got != "failed missing-header" {
		t.Fatal(got)
	}
	want := farm.Recipe{Env: map[string]string{"CC": "true"}, Jobs: 1, Packages: []string{"libffi-dev"}}
	if done := f.recipe("fails", want); done.Requeued != 1 {
		t.Fatalf("%+v", done)
	}
	if said := f.done("queue"); !strings.Contains(said, "1 job needs libffi-dev: `apt install libffi-dev` on a slave") {
		t.Fatal(said)
	}
	if got := f.outcomes()["fails"]; got != "queued" {
		t.Fatal(got)
	}
	if err := os.WriteFile(dpkg, []byte("Package: libffi-dev\nStatus: install ok installed\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	f.quiet()
	if got := f.outcomes()["fails"]; got != "built" {
		t.Fatal(got)
	}
	if said := f.done("status"); strings.Contains(said, "libffi-dev") {
		t.Error(said)
	}
	f.recorded(want)
	f.check()
}

// recorded looks at what the newest build says of its recipe.
func (f *testFarm) recorded(want farm.Recipe) {
	f.t.Helper()
	conn, err := pgx.Connect(f.t.Context(), f.Settings.DatabaseURL)
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close(f.t.Context())
	var got farm.Recipe
	const q = `select record -> 'recipe' from builds order by id desc limit 1`
	if err := conn.QueryRow(f.t.Context(), q).Scan(&got); err != nil {
		f.t.Fatal(err)
	}
	if want.From = []string{"fails"}; !cmp.Equal(got, want) {
		f.t.Errorf("the build's record says %+v", got)
	}
}
