package builder

import (
	"cmp"
	"context"

	"pinwheel/internal/elffile"
	"pinwheel/internal/linkage"
)

// link notes what the wheel that was built needs of this system. Of one that cannot be
// read it notes nothing: that is for the master to judge, and no fault of the build.
func (b Build) link(ctx context.Context, r *Result) {
	system := b.System
	if system == nil {
		system = linkage.NewSystem(cmp.Or(b.Root, HostRoot))
	}
	for _, path := range r.Wheels {
		files, libraries, err := linkage.Wheel(ctx, path, b.Python.Target().Platform, system, b.Dir)
		if err == nil {
			r.Record.ELF, r.Record.Libraries = elffile.Trim(files), libraries
		}
	}
}
