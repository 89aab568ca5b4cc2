//! Names of functions as C++ has them, from the symbols that compilers make of them (Itanium C++ ABI,
//! 5.1).

use cpp_demangle::{DemangleOptions, Symbol};

/// The name of a function without its parameters; `None` if the symbol is not one of C++.
pub fn name(symbol: &str) -> Option<String> {
    demangled(symbol, &DemangleOptions::new().no_params().no_return_type())
}

/// The name of a function with the types of its parameters; `None` if the symbol is not one of C++.
pub fn signature(symbol: &str) -> Option<String> {
    demangled(symbol, &DemangleOptions::new().no_return_type())
}

fn demangled(symbol: &str, options: &DemangleOptions) -> Option<String> {
    if !symbol.starts_with("_Z") {
        return None;
    }
    Symbol::new(symbol).ok()?.demangle_with_options(options).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_and_without_parameters() {
        let symbol = "_ZN5MyApp6Server14handle_requestEli";
        assert_eq!(name(symbol).as_deref(), Some("MyApp::Server::handle_request"));
        let whole = "MyApp::Server::handle_request(long, int)";
        assert_eq!(signature(symbol).as_deref(), Some(whole));
        let template = signature("_Z3maxIiET_S0_S0_").expect("a function");
        assert!(template.starts_with("max<int>("), "{template}");
        assert_eq!((name("main"), name("_Zx"), signature("")), (None, None, None));
    }
}
