package main

import (
	"testing"

	"github.com/habeas-data/habeas/connectors/sdk/sdktest"
)

func TestConformance(t *testing.T) { sdktest.Run(t, newSystem) }

func TestConformancePostgres(t *testing.T) { sdktest.Run(t, newPostgres) }
