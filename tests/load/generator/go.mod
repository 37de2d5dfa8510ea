module bapsang.dev/generator

go 1.25
