"""Files, trees and TARs on their way into a store as UnixFS."""
