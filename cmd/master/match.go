package main

import (
	"context"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// matcher says whether what is left of a failed job's newest build is what somebody
// looks for. It may look at the row alone, or fetch the log that the row names.
type matcher func(ctx context.Context, b store.FailedBuild) (bool, error)

// excerpts matches the excerpts in the rows; ^ and $ are the ends of lines.
func excerpts(pattern string) (matcher, error) {
	re, err := farm.ParsePattern(pattern)
	if err != nil {
		return nil, err
	}
	return func(_ context.Context, b store.FailedBuild) (bool, error) {
		return re.MatchString(b.Excerpt), nil
	}, nil
}

// matchPiece is how many builds are read at once: 2 kB each.
const matchPiece = 1000

// matching gives the failed jobs of the selector that match.
func matching(ctx context.Context, st *store.Store, sel store.Selector, match matcher, bar *progress) ([]int64, error) {
	jobs, err := st.FailedJobs(ctx, sel)
	if err != nil {
		return nil, err
	}
	found, done, began := []int64{}, int64(0), time.Now()
	for from := 0; from < len(jobs); from += matchPiece {
		builds, err := st.FailedBuilds(ctx, jobs[from:min(from+matchPiece, len(jobs))])
		if err != nil {
			return nil, err
		}
		for _, b := range builds {
			yes, err := match(ctx, b)
			if err != nil {
				return nil, err
			}
			if yes {
				found = append(found, b.Job)
			}
			if done++; done%20 == 0 {
				bar.show("searched %s of %s failed jobs, %s match%s", grouped(done), grouped(int64(len(jobs))), grouped(int64(len(found))),
					pace(time.Since(began), done, float64(done)/float64(len(jobs))))
			}
		}
	}
	bar.clear()
	return found, ctx.Err()
}
