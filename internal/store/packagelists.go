package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"

	"pinwheel/internal/farm"
)

// maxLists bounds the lists that are kept; slaves of one image have the same one.
const maxLists = 64

// packageLists are the Debian packages of slaves, by the keys of the lists: a claim
// asks for its slave's each time, and they are long.
type packageLists struct {
	mu    sync.Mutex
	lists map[string]PackageLists
}

// PackageLists are the Debian packages of one slave, sorted, by the names of the
// targets that have others than the rest; those of the rest by the empty name.
type PackageLists map[string][]string

// On are the packages that are installed for a target.
func (p PackageLists) On(target string) []string {
	if list, ok := p[target]; ok {
		return list
	}
	return p[""]
}

// The column slaves.packages holds what is installed for each target of a slave by
// its name, and what is for one alone as TARGET/NAME: no package has a slash.
const ofTarget = "/"

// packageColumn writes what a machine has.
func packageColumn(m farm.Machine) []string {
	column := append([]string{}, m.Packages...)
	for _, t := range m.Targets {
		for _, p := range t.Packages {
			column = append(column, t.Target.String()+ofTarget+p)
		}
	}
	return column
}

// listsOf reads the column.
func listsOf(column []string) PackageLists {
	lists := PackageLists{}
	for _, entry := range column {
		target, name, ok := strings.Cut(entry, ofTarget)
		if !ok {
			target, name = "", entry
		}
		lists[target] = append(lists[target], name)
	}
	for target, own := range lists {
		if target != "" {
			lists[target] = slices.Concat(lists[""], own)
			slices.Sort(lists[target])
		}
	}
	return lists
}

// packagesKey is alike for lists that are.
func packagesKey(list []string) string {
	if len(list) == 0 {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.Join(list, " ")))
	return hex.EncodeToString(sum[:16])
}

// PackagesOf are the Debian packages that a slave told of. The caller does not change
// the lists.
func (s *Store) PackagesOf(ctx context.Context, slave SlaveRow) (PackageLists, error) {
	if slave.Packages == "" {
		return nil, nil
	}
	s.lists.mu.Lock()
	lists, ok := s.lists.lists[slave.Packages]
	s.lists.mu.Unlock()
	if ok {
		return lists, nil
	}
	const q = `select packages, packages_key from slaves where id = $1`
	var column []string
	var key string
	if err := s.pool.QueryRow(ctx, q, slave.ID).Scan(&column, &key); err != nil {
		return nil, fmt.Errorf("read the packages of slave %s: %w", slave.Name, translate(err))
	}
	lists = listsOf(column)
	s.lists.mu.Lock()
	defer s.lists.mu.Unlock()
	if s.lists.lists == nil || len(s.lists.lists) >= maxLists {
		s.lists.lists = map[string]PackageLists{}
	}
	s.lists.lists[key] = lists
	return lists, nil
}
