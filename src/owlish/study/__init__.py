"""What every study is, how transfer studies are laid out, and how trained runs are compared."""
