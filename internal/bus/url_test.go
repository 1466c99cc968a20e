package bus

import (
	"strings"
	"testing"
)

func TestCheckURL(t *testing.T) {
	t.Parallel()
	for list, good := range map[string]bool{
		"nats://farm.example:4222": true, "nats://farm.example": true, "farm.example:4222": true, "farm.example": true,
		"tls://farm.example": true, "wss://farm.example/nats": true, "nats://pi:geheim@[::1]:4222": true,
		"nats://a.example:4222, nats://b.example:4222": true, "a.example,b.example": true,
		"": false, "nats://": false, ":::": false, ":4222": false, "http://farm.example": false, "nat://farm.example": false,
		"nats://farm.example:port": false, "nats://pi:geheim@": false, "nats://a.example,": false, "nats//farm.example:4222": false,
		"/run/nats.sock": false, "a b": false,
	} {
		err := CheckURL(list)
		if (err == nil) != good {
			t.Errorf("%q: %v", list, err)
		}
		if err != nil && strings.Contains(err.Error(), "geheim") {
			t.Errorf("%q: the error tells the password: %v", list, err)
		}
	}
}
