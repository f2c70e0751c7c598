package eshm

import (
	"encoding/json"
	"testing"
)

func TestRolesAndStatesAreLoggedAsWords(t *testing.T) {
	text, err := json.Marshal(map[string]any{"role": Slave, "state": Frozen})
	if err != nil || string(text) != `{"role":"slave","state":"frozen"}` {
		t.Errorf("%s %v", text, err)
	}
}
