//! Entry point.

fn main() -> std::process::ExitCode {
    counterfoil_terminal::cli::main()
}
