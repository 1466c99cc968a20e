package simulate

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// panel is one of the plot's two drawings; slaves are on a logarithmic axis.
type panel struct {
	b         *strings.Builder
	left      float64 // of the drawing, in pixels
	title     string
	low, high float64 // of the values
	log       bool
	ticks     []float64
	form      string // of a tick
}

const (
	panelWidth  = 300.0
	panelHeight = 220.0
	panelTop    = 36.0
	mostSlaves  = 450.0 // room for the last label
)

func (p *panel) x(slaves float64) float64 {
	return p.left + panelWidth*math.Log(slaves/0.8)/math.Log(mostSlaves/0.8)
}

func (p *panel) y(v float64) float64 {
	part := (v - p.low) / (p.high - p.low)
	if p.log {
		part = math.Log(v/p.low) / math.Log(p.high/p.low)
	}
	return panelTop + panelHeight*(1-part)
}

func (p *panel) frame(counts []float64) {
	fmt.Fprintf(p.b, `<text x="%.0f" y="%.0f" class="title">%s</text>`+"\n", p.left, panelTop-14, p.title)
	fmt.Fprintf(p.b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" class="frame"/>`+"\n", p.left, panelTop, panelWidth, panelHeight)
	for _, v := range p.ticks {
		fmt.Fprintf(p.b, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%[3]f" class="grid"/>`+"\n", p.left, p.left+panelWidth, p.y(v))
		fmt.Fprintf(p.b, `<text x="%.1f" y="%.1f" text-anchor="end">`+p.form+`</text>`+"\n", p.left-6, p.y(v)+4, v)
	}
	for _, n := range counts {
		fmt.Fprintf(p.b, `<text x="%.1f" y="%.1f" text-anchor="middle">%.0f</text>`+"\n", p.x(n), panelTop+panelHeight+18, n)
	}
	fmt.Fprintf(p.b, `<text x="%.1f" y="%.1f" text-anchor="middle">slaves</text>`+"\n", p.left+panelWidth/2, panelTop+panelHeight+36)
}

func (p *panel) line(class string, points ...[2]float64) {
	var at []string
	for _, q := range points {
		at = append(at, fmt.Sprintf("%.1f,%.1f", p.x(q[0]), p.y(q[1])))
	}
	fmt.Fprintf(p.b, `<polyline points="%s" class="%s"/>`+"\n", strings.Join(at, " "), class)
}

// dot is hollow if it is not of the whole run.
func (p *panel) dot(slaves, v float64, label string, whole bool) {
	class := ""
	if !whole {
		class = ` class="part"`
	}
	fmt.Fprintf(p.b, `<circle cx="%.1f" cy="%.1f" r="4"%s/><text x="%.1f" y="%.1f">%s</text>`+"\n",
		p.x(slaves), p.y(v), class, p.x(slaves)+7, math.Max(p.y(v)-6, panelTop+12), label)
}

// write puts words beside a line.
func (p *panel) write(class string, slaves, v float64, words string) {
	fmt.Fprintf(p.b, `<text x="%.1f" y="%.1f" class="%s">%s</text>`+"\n", p.x(slaves), p.y(v), class, words)
}

// daysOfAll are those that all versions take. Of fewer it is known how long slaves are up
// for what there is to build, and that grows with it; how long they have nothing more to
// build at the end, while others try what hangs once more, does not.
func (r result) daysOfAll(ideal float64) float64 {
	days := func(d time.Duration) float64 { return d.Hours() / 24 }
	return ideal*(r.took-r.tail).Seconds()/r.ideal.Seconds() + days(r.tail)
}

// grouped writes a number for people.
func grouped(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1000), n%1000)
}

// plot draws how long a first run takes, and how long slaves are idle meanwhile.
func plot(results []result, whole time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 780 336" font-family="sans-serif" font-size="12">
<style>text{fill:#222}.title{font-size:14px;font-weight:bold}.frame{fill:none;stroke:#999}.grid{stroke:#ddd}
polyline{fill:none}.ideal{stroke:#666;stroke-dasharray:4 3}.budget{stroke:#b22}circle{fill:#06c;stroke:#06c;stroke-width:1.5}circle.part{fill:#fff}
text.ideal{fill:#555;stroke:none}text.budget{fill:#b22;stroke:none}</style>
<rect width="780" height="336" fill="#fff"/>
`)
	var counts []float64
	days := &panel{b: &b, left: 60, title: fmt.Sprintf("Days until all %s versions are built", grouped(firstRun)),
		low: 0.3, high: 300, log: true, ticks: []float64{1, 10, 100}, form: "%.0f"}
	idle := &panel{b: &b, left: 440, title: "Slaves idle while work is queued, %", low: 0, high: 3.5, ticks: []float64{0, 1, 2, 3}, form: "%.0f"}
	for _, r := range results {
		counts = append(counts, float64(r.slaves))
	}
	days.frame(counts)
	idle.frame(counts)
	ideal := whole.Hours() / 24
	days.line("ideal", [2]float64{1, ideal}, [2]float64{200, ideal / 200})
	idle.line("budget", [2]float64{1, 100 * idleBudget(1)}, [2]float64{20, 100 * idleBudget(20)},
		[2]float64{20.1, 100 * idleBudget(200)}, [2]float64{200, 100 * idleBudget(200)})
	days.write("ideal", 2, 0.5, "no slave ever waits or dies")
	days.line("ideal", [2]float64{1, 0.55}, [2]float64{1.8, 0.55})
	idle.write("budget", 1, 100*idleBudget(1)+0.1, "at most")
	var versions []string
	for _, r := range results {
		n, isWhole := float64(r.slaves), r.versions == firstRun
		d := r.daysOfAll(ideal / n)
		days.dot(n, d, fmt.Sprintf("%.3g", d), isWhole)
		idle.dot(n, math.Min(100*r.idle, 3.5), fmt.Sprintf("%.2f", 100*r.idle), isWhole)
		if !isWhole {
			versions = append(versions, fmt.Sprintf("%s by %d", grouped(r.versions), r.slaves))
		}
	}
	legend := "filled: all versions were built"
	if len(versions) > 0 {
		legend += "; hollow: some, the days of all by estimate (" + strings.Join(versions, ", ") + ")"
	}
	fmt.Fprintf(&b, `<text x="60" y="322">%s</text>`+"\n</svg>\n", legend)
	return b.String()
}
