package elffile

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pinwheel/internal/farm"
)

// TestFiles: what is kept ends with a number of files, or of bytes of what they say; all
// that is not kept is counted.
func TestFiles(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		add  farm.ELF
		kept int
	}{
		"short":        {farm.ELF{Path: "x"}, MaxFiles},
		"long paths":   {farm.ELF{Path: strings.Repeat("p", 1<<20)}, 4},
		"long names":   {farm.ELF{Needed: slices.Repeat([]string{strings.Repeat("n", 1<<10)}, 1<<10)}, 4},
		"long folders": {farm.ELF{SOName: strings.Repeat("s", 1<<19), RPath: strings.Repeat("r", 1<<18), RunPath: strings.Repeat("r", 1<<18)}, 4},
	} {
		var files Files
		for range MaxFiles + 7 {
			files.Add(c.add)
		}
		if len(files.All) != c.kept || files.More != MaxFiles+7-c.kept {
			t.Errorf("%s: %d are kept, %d more; want %d, and all counted", what, len(files.All), files.More, c.kept)
		}
	}
}

// TestLongPaths: of a path that is longer than any may be only the beginning is told, and of
// an archive's so much that its members' names still are. Each entry that it makes is
// taken from the budget, also the one for an archive that is broken.
func TestLongPaths(t *testing.T) {
	t.Parallel()
	archive := string(archiveMagic) + strings.Repeat(fmt.Sprintf("%-16s%-32s%-10d`\n", "x.o/", "", 0), 3) + "?"
	long := strings.Repeat("ä", 20_000)
	budget, before := DefaultBudget(), DefaultBudget()
	var paths []string
	add := func(f farm.ELF) { paths = append(paths, f.Path) }
	if err := ReadArchive(strings.NewReader(archive), int64(len(archive)), long, &budget, add); err != nil {
		t.Fatal(err)
	}
	cut := long[:maxArchivePath]
	if want := []string{cut + "(x.o)", cut + "(x.o)", cut + "(x.o)", cut}; !slices.Equal(paths, want) || before.Files-budget.Files != 4 {
		t.Errorf("%d of the budget, and paths\n%q, want\n%q", before.Files-budget.Files, paths, want)
	}
	f, err := Read(strings.NewReader(magic), 4, long+".so", &budget)
	if err != nil || f.Path != long[:maxString] {
		t.Errorf("%v, a path of %d bytes, want the first %d", err, len(f.Path), maxString)
	}
}
