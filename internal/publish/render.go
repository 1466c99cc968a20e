package publish

import (
	"fmt"

	"pinwheel/internal/store"
)

// Render gives the files that a project's rows make beside its wheels, by name:
// the pages and the wheels' METADATA, byte for byte as they are published. A row
// that cannot be published is an error.
func Render(page store.Page) (map[string][]byte, error) {
	files := map[string][]byte{}
	var entries []entry
	for _, w := range page.Wheels {
		e, err := newEntry(page.Package, w)
		if err != nil {
			return nil, fmt.Errorf("render the page of %s: %s: %w", page.Package, w.Filename, err)
		}
		entries = append(entries, e)
		files[w.Filename+metadataSuffix] = w.Metadata
	}
	inOrder(entries)
	body, err := projectJSON(page.Package, entries)
	if err != nil {
		return nil, fmt.Errorf("render the page of %s: %w", page.Package, err)
	}
	files[pageHTML], files[pageJSON] = projectHTML(page.Package, entries), body
	return files, nil
}

// RenderRoot gives the files of the root index, by name, for the names of the
// projects in order.
func RenderRoot(names []string) map[string][]byte {
	return map[string][]byte{pageHTML: rootHTML(names), pageJSON: rootJSON(names)}
}
