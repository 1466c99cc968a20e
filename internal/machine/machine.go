// Package machine reads what a Linux machine says of itself: its model, load,
// memory, heat, what its firmware does against heat or a weak supply, and space.
//
// Input: files below /proc and /sys, and on a Raspberry Pi without such a file the
// program vcgencmd. Output: values for people and for choosing slaves; one that
// cannot be had is zero, never an error. It owns nothing and keeps nothing.
package machine

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Sensors are where a machine is read. The zero value reads this one; tests play
// others.
type Sensors struct {
	Root      string                                       // stands before /proc and /sys
	Vcgencmd  string                                       // the program; "": the one on the PATH
	DiskUsage func(dir string, st *syscall.Statfs_t) error // nil: statfs(2)
}

// Model is the board's name, of the device tree (ARM) or the firmware (others):
// "Raspberry Pi 4 Model B Rev 1.4".
func (s Sensors) Model() string {
	for _, path := range []string{"/proc/device-tree/model", "/sys/class/dmi/id/product_name"} {
		if text := strings.Trim(s.read(path), "\x00 \n"); text != "" {
			return text
		}
	}
	return ""
}

// Memory is one field of /proc/meminfo, such as MemTotal, in bytes.
func (s Sensors) Memory(field string) int64 { return memInfo(s.read("/proc/meminfo"), field) }

func memInfo(text, field string) int64 {
	for line := range strings.Lines(text) {
		value, ok := strings.CutPrefix(line, field+":")
		if !ok {
			continue
		}
		kb, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 50)
		if err != nil {
			return 0
		}
		return int64(kb) << 10
	}
	return 0
}

// Load is the load average of the last minute.
func (s Sensors) Load() float64 { return loadAverage(s.read("/proc/loadavg")) }

func loadAverage(text string) float64 {
	first, _, _ := strings.Cut(text, " ")
	load, err := strconv.ParseFloat(first, 64)
	if err != nil || !(load >= 0 && load < 1e6) { // NaN and Inf are numbers to ParseFloat
		return 0
	}
	return load
}

// Temperature is that of the hottest thermal zone, in °C.
func (s Sensors) Temperature() float64 {
	hottest := 0.0
	for _, zone := range s.glob("/sys/class/thermal/thermal_zone*/temp") {
		hottest = max(hottest, milliDegrees(readText(zone)))
	}
	return hottest
}

func milliDegrees(text string) float64 {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
	if err != nil {
		return 0
	}
	return float64(n) / 1000
}

// DiskFree is what an ordinary user could still write below dir, in bytes.
func (s Sensors) DiskFree(dir string) int64 {
	usage := s.DiskUsage
	if usage == nil {
		usage = syscall.Statfs
	}
	var st syscall.Statfs_t
	if err := usage(dir, &st); err != nil {
		return 0
	}
	return int64(st.Bavail) * int64(st.Bsize)
}

// FilesFree is how many files more can be made below dir; -1 where the file system
// makes room for them as they come, or cannot be asked.
func (s Sensors) FilesFree(dir string) int64 {
	usage := s.DiskUsage
	if usage == nil {
		usage = syscall.Statfs
	}
	var st syscall.Statfs_t
	if err := usage(dir, &st); err != nil || st.Files == 0 {
		return -1
	}
	return int64(st.Ffree)
}

// read is a file of the machine, "" if it cannot be read.
func (s Sensors) read(path string) string { return readText(s.Root + path) }

// glob finds files of the machine.
func (s Sensors) glob(pattern string) []string {
	found, err := filepath.Glob(s.Root + pattern)
	if err != nil {
		return nil // only a malformed pattern
	}
	return found
}

func readText(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(b)
}
