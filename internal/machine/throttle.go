package machine

import (
	"context"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Throttle is what a Raspberry Pi's firmware has against heat and a weak supply, as
// `vcgencmd get_throttled` has it: the low bits are of now, those sixteen higher of
// any time since the start.
type Throttle uint32

// The bits of now.
const (
	UnderVoltage    Throttle = 1 << iota // the supply gives less than 4.63 V
	FrequencyCapped                      // the processor may not run at full speed
	Throttled                            // it is slowed down
	SoftLimit                            // it is warm, and slowed down a little
)

const sinceStart = 16

// words are the bits' names.
func (t Throttle) words() []string {
	var list []string
	for i, word := range []string{"under-voltage", "frequency-capped", "throttled", "soft-temperature-limit"} {
		if t&(1<<i) != 0 {
			list = append(list, word)
		}
	}
	return list
}

// Now names what is done at this moment: "under-voltage", "frequency-capped",
// "throttled", "soft-temperature-limit".
func (t Throttle) Now() []string { return t.words() }

// Since names what was done at any time since the machine was started.
func (t Throttle) Since() []string { return (t >> sinceStart).words() }

// askWithin bounds a program that answers in milliseconds.
const askWithin = 2 * time.Second

// Throttle reads the firmware's word; known is false where there is none. It asks
// the kernel: the firmware's own file, else the driver that watches the supply; and
// on a Raspberry Pi with neither the program vcgencmd.
func (s Sensors) Throttle(ctx context.Context) (t Throttle, known bool) {
	for _, path := range s.glob("/sys/devices/platform/soc/*firmware/get_throttled") {
		if t, known = parseThrottle(readText(path)); known {
			return t, true
		}
	}
	if strings.HasPrefix(s.Model(), "Raspberry Pi") {
		if t, known = s.askFirmware(ctx); known {
			return t, true
		}
	}
	for _, path := range s.glob("/sys/class/hwmon/hwmon*/name") {
		if strings.TrimSpace(readText(path)) != "rpi_volt" {
			continue
		}
		switch strings.TrimSpace(readText(filepath.Join(filepath.Dir(path), "in0_lcrit_alarm"))) {
		case "1": // since it was looked at last
			return UnderVoltage << sinceStart, true
		case "0":
			return 0, true
		}
	}
	return 0, false
}

func (s Sensors) askFirmware(ctx context.Context) (Throttle, bool) {
	program := s.Vcgencmd
	if program == "" {
		program = "vcgencmd"
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "get_throttled")
	cmd.WaitDelay = askWithin
	out, err := cmd.Output()
	if err != nil {
		return 0, false // there is none, or it may not: the video group may
	}
	return parseThrottle(string(out))
}

// parseThrottle reads "throttled=0x50005" or the number alone, in hex.
func parseThrottle(text string) (Throttle, bool) {
	text = strings.TrimPrefix(strings.TrimSpace(text), "throttled=")
	n, err := strconv.ParseUint(strings.TrimPrefix(text, "0x"), 16, 32)
	return Throttle(n), err == nil
}
