package publish

import (
	"bytes"
	"fmt"

	"pinwheel/internal/store"
)

// Render gives the files that a project's rows make beside its wheels, by name:
// the pages with their compressed copies, the wheels' METADATA and build records,
// byte for byte as they are published. A row that cannot be published is an error; so
// is one from PageFacts.
func Render(page store.Page) (map[string][]byte, error) {
	files := map[string][]byte{}
	var entries []entry
	for _, w := range page.Offered() {
		e, err := newEntry(page.Package, w)
		if err == nil {
			err = isMetadata(w, w.Metadata)
		}
		if err != nil {
			return nil, fmt.Errorf("render the page of %s: %s: %w", page.Package, w.Filename, err)
		}
		entries = append(entries, e)
		files[w.Filename+metadataSuffix] = w.Metadata
		if files[w.Filename+recordSuffix], err = recordFile(w.Record); err != nil {
			return nil, fmt.Errorf("render the page of %s: %s: %w", page.Package, w.Filename, err)
		}
	}
	inOrder(entries)
	body, err := projectJSON(page, entries)
	if err != nil {
		return nil, fmt.Errorf("render the page of %s: %w", page.Package, err)
	}
	files[pageHTML], files[pageJSON] = projectHTML(page, entries), body
	return withCopies(files), nil
}

// RenderRoot gives the files of the root index, by name, for the names of the
// projects in order.
func RenderRoot(names []string) map[string][]byte {
	return withCopies(map[string][]byte{pageHTML: rootHTML().page(names), pageJSON: rootJSON().page(names)})
}

// withCopies adds the compressed copies of the pages.
func withCopies(files map[string][]byte) map[string][]byte {
	z := newPacker()
	for _, name := range []string{pageHTML, pageJSON} {
		files[name+gzipSuffix] = bytes.Clone(z.pack(files[name]))
	}
	return files
}
