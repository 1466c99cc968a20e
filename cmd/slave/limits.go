package main

import (
	"time"

	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/config"
	"pinwheel/internal/farm"
)

// limitFlags are the limits of a build by hand; those of a farm's come with the lease.
type limitFlags struct {
	timeout                          time.Duration
	memory, disk, fileSize, logLimit config.Size
	processes, openFiles             int
}

func (l *limitFlags) bind(cmd *cobra.Command) {
	fl := cmd.Flags()
	l.logLimit, l.disk = farm.DefaultLogLimit, farm.DefaultDisk
	fl.DurationVar(&l.timeout, "timeout", farm.DefaultTimeout, "wall clock limit, for example 90s")
	fl.Var(&l.memory, "memory", "of all its processes together, for example 1G (default: what this machine has)")
	fl.Var(&l.disk, "disk", "of all its files together, for example 2G")
	fl.Var(&l.fileSize, "file-size", "of each file, for example 500M (default: as --disk)")
	fl.IntVar(&l.processes, "procs", farm.DefaultProcesses, "`NUMBER` of processes and threads at once")
	fl.IntVar(&l.openFiles, "open-files", farm.DefaultOpenFiles, "`NUMBER` of files that one process has open at once")
	fl.Var(&l.logLimit, "log-limit", "bytes of log that are kept, for example 10M; a build that writes ten times as much ends")
}

func (l *limitFlags) check() error {
	for _, f := range []struct {
		name  string
		value *config.Size
		least config.Size
	}{
		// Less than these, and pip itself does not run.
		{"memory", &l.memory, 32 << 20}, {"disk", &l.disk, 1 << 20}, {"file-size", &l.fileSize, 64 << 10}, {"log-limit", &l.logLimit, 1},
	} {
		unset := *f.value == 0 && (f.name == "memory" || f.name == "file-size")
		if !unset && *f.value < f.least {
			return cli.Usage("--%s %s: want at least %s", f.name, f.value, &f.least)
		}
	}
	switch {
	case l.timeout <= 0:
		return cli.Usage("--timeout %s: want more than nothing", l.timeout)
	case l.processes < 8:
		return cli.Usage("--procs %d: want at least 8, pip needs some itself", l.processes)
	case l.openFiles < 32:
		return cli.Usage("--open-files %d: want at least 32, pip needs some itself", l.openFiles)
	}
	return nil
}

func (l *limitFlags) limits() farm.Limits {
	return farm.Limits{Timeout: l.timeout, LogLimit: int64(l.logLimit), Memory: int64(l.memory), Disk: int64(l.disk),
		FileSize: int64(l.fileSize), Processes: l.processes, OpenFiles: l.openFiles}
}
