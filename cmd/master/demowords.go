package main

import "pinwheel/internal/farm"

// plainly says why a build failed to somebody who does not know the farm's words
// for it; those stand behind, for who wants to look them up.
func plainly(f farm.Failure) string {
	s, ok := causeWords()[f.Cause]
	if !ok {
		s = "nobody knows why"
	}
	if f.Detail != "" {
		s += ": " + f.Detail
	}
	if f.Hint != "" {
		return s + " (" + f.Hint + "; " + string(f.Cause) + ")"
	}
	return s + " (" + string(f.Cause) + ")"
}

func causeWords() map[farm.Cause]string {
	return map[farm.Cause]string{
		farm.MissingHeader:    "a header is missing",
		farm.MissingLibrary:   "a library is missing",
		farm.MissingTool:      "a program is missing",
		farm.CompilerError:    "the compiler refuses its code",
		farm.PythonSyntax:     "its code is written for another Python",
		farm.NeedsNewerPython: "it needs a newer Python",
		farm.BuildBackend:     "its build script broke",
		farm.BuildRequirement: "what it needs to be built cannot be had",
		farm.MetadataInvalid:  "its metadata are not valid",
		farm.WrongWheel:       "it made a wheel that was not asked for",
		farm.Rejected:         "its wheel does not hold what it promises",
		farm.NoSdist:          "there is no source archive",
		farm.Network:          "it wants something from the network",
		farm.Prompt:           "it asks a question, and nobody is there to answer",
		farm.OutOfMemory:      "the memory is not enough",
		farm.Disk:             "the disk is full",
		farm.Timeout:          "it took too long",
		farm.LogLimit:         "it wrote too much",
		farm.Crashed:          "a program crashed",
		farm.SlaveLost:        "its builder was lost",
		farm.SlaveFault:       "this machine could not do its part",
		farm.UpstreamFault:    "the upstream did not give what is needed",
	}
}
