package farm

import (
	"cmp"
	"slices"
)

// Tally counts texts in the memory of a few times its size, the most frequent of
// them nearly exactly (Misra and Gries): when there are too many, each loses one,
// so that the rare ones go. It never counts too many.
type Tally struct {
	size  int
	total int64
	count map[string]int64
}

// Tallied is a text and how many jobs it was seen with.
type Tallied struct {
	Text string `json:"text"`
	Jobs int64  `json:"jobs"`
}

// NewTally makes a tally that keeps the size most frequent texts.
func NewTally(size int) *Tally { return &Tally{size: size, count: map[string]int64{}} }

// Add counts one.
func (t *Tally) Add(text string) {
	t.total++
	t.count[text]++
	for len(t.count) > 8*t.size {
		for k := range t.count {
			if t.count[k]--; t.count[k] == 0 {
				delete(t.count, k)
			}
		}
	}
}

// Total is how many were added.
func (t *Tally) Total() int64 { return t.total }

// Top lists the n most frequent, at most what the tally keeps.
func (t *Tally) Top(n int) []Tallied {
	list := []Tallied{}
	for text, jobs := range t.count {
		list = append(list, Tallied{text, jobs})
	}
	slices.SortFunc(list, func(a, b Tallied) int { return cmp.Or(cmp.Compare(b.Jobs, a.Jobs), cmp.Compare(a.Text, b.Text)) })
	return list[:min(n, t.size, len(list))]
}
