package agent

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// What a slave tells of its machine is for people and for choosing slaves; a
// value that cannot be had is zero, never an error.

// senseModel asks the device tree (ARM), then the firmware (others).
func senseModel() string {
	for _, path := range []string{"/proc/device-tree/model", "/sys/class/dmi/id/product_name"} {
		if s := strings.Trim(readText(path), "\x00 \n"); s != "" {
			return s
		}
	}
	return ""
}

// senseMemory is one field of /proc/meminfo, in bytes.
func senseMemory(field string) int64 { return memInfo(readText("/proc/meminfo"), field) }

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

// senseLoad is the load average of the last minute.
func senseLoad() float64 { return loadAverage(readText("/proc/loadavg")) }

func loadAverage(text string) float64 {
	first, _, _ := strings.Cut(text, " ")
	load, err := strconv.ParseFloat(first, 64)
	if err != nil || !(load >= 0 && load < 1e6) { // NaN and Inf are numbers to ParseFloat
		return 0
	}
	return load
}

// senseTemperature is the hottest of the machine's thermal zones, in °C.
func senseTemperature() float64 {
	zones, err := filepath.Glob("/sys/class/thermal/thermal_zone*/temp")
	if err != nil {
		return 0
	}
	hottest := 0.0
	for _, zone := range zones {
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

// diskFree is what an ordinary user could still write below dir, in bytes.
func diskFree(dir string) int64 {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0
	}
	return int64(st.Bavail) * int64(st.Bsize)
}

func readText(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(b)
}
