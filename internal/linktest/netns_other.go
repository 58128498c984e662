//go:build !linux

package linktest

import "errors"

func missingTUN() error { return errors.New("TAP interfaces need Linux") }

func missingNetns() error { return errors.New("network namespaces need Linux") }
