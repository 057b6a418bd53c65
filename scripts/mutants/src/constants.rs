//! First pass: `const N: u32 = 3;` becomes `fn N() -> u32 { 3 }`, and `N` becomes `N()`, so that a constant can have another
//! value at run time. A constant that the compiler itself needs (an array's length, a pattern) stays one.

use crate::weave::Weave;
use proc_macro2::{TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// Names that the standard library's types have too.
const STANDARD: [&str; 6] = ["MAX", "MIN", "ZERO", "BITS", "EPSILON", "NEW"];

/// What the files say of the names of constants.
#[derive(Default)]
pub struct Names {
    /// Those that could be functions, and the names that their values use.
    can: BTreeMap<String, BTreeSet<String>>,
    /// Those that can't.
    cannot: BTreeSet<String>,
}

impl Names {
    pub fn learn(&mut self, file: &syn::File) {
        Learn { names: self, fixed: 0, of: None }.visit_file(file);
    }

    /// The constants that become functions.
    pub fn functions(mut self) -> BTreeSet<String> {
        self.cannot.extend(STANDARD.map(String::from));
        loop {
            let fixed: Vec<String> = self.can.keys().filter(|name| self.cannot.contains(*name)).cloned().collect();
            if fixed.is_empty() {
                return self.can.into_keys().collect();
            }
            for name in fixed {
                self.cannot.extend(self.can.remove(&name).unwrap_or_default());
            }
        }
    }
}

/// Whether values of this type can be varied: numbers, times, and pairs of them.
pub fn varies(ty: &syn::Type) -> bool {
    match ty {
        syn::Type::Tuple(tuple) => !tuple.elems.is_empty() && tuple.elems.iter().all(varies),
        syn::Type::Path(path) => path.path.get_ident().is_some_and(|name| {
            let name = name.to_string();
            let digits = name.trim_start_matches(['u', 'i', 'f']);
            name == "Duration" || digits == "size" || (digits.len() < name.len() && digits.parse::<u8>().is_ok())
        }),
        _ => false,
    }
}

struct Learn<'a> {
    names: &'a mut Names,
    /// How many constant expressions we are in.
    fixed: usize,
    /// The constant whose value we are in.
    of: Option<String>,
}

impl Learn<'_> {
    fn used(&mut self, name: String) {
        match &self.of {
            _ if self.fixed > 0 => _ = self.names.cannot.insert(name),
            Some(of) => _ = self.names.can.entry(of.clone()).or_default().insert(name),
            None => {}
        }
    }

    fn fixed(&mut self, visit: impl FnOnce(&mut Self)) {
        self.fixed += 1;
        visit(self);
        self.fixed -= 1;
    }

    fn constant(&mut self, name: &syn::Ident, ty: &syn::Type, value: &syn::Expr) {
        if varies(ty) {
            self.names.can.entry(name.to_string()).or_default();
            let before = self.of.replace(name.to_string());
            self.visit_expr(value);
            self.of = before;
        } else {
            self.names.cannot.insert(name.to_string());
            self.fixed(|s| s.visit_expr(value));
        }
    }

    fn tokens(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(name) => self.used(name.to_string()),
                // `{NAME}` in a format string stays.
                TokenTree::Literal(text) => {
                    let text = text.to_string();
                    let held =
                        text.split('{').skip(1).map(|rest| rest.split(['}', ':']).next().unwrap_or("").to_owned());
                    self.names.cannot.extend(held);
                }
                TokenTree::Punct(_) => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for Learn<'_> {
    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.constant(&item.ident, &item.ty, &item.expr);
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.constant(&item.ident, &item.ty, &item.expr);
    }

    fn visit_trait_item_const(&mut self, item: &'ast syn::TraitItemConst) {
        self.names.cannot.insert(item.ident.to_string());
        self.fixed(|s| visit::visit_trait_item_const(s, item));
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        for part in &item.items {
            if let (syn::ImplItem::Const(constant), true) = (part, item.trait_.is_some()) {
                self.names.cannot.insert(constant.ident.to_string());
            }
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.fixed(|s| visit::visit_item_static(s, item));
    }

    fn visit_type_array(&mut self, item: &'ast syn::TypeArray) {
        self.fixed(|s| visit::visit_type_array(s, item));
    }

    fn visit_expr_repeat(&mut self, item: &'ast syn::ExprRepeat) {
        self.visit_expr(&item.expr);
        self.fixed(|s| s.visit_expr(&item.len));
    }

    fn visit_generic_argument(&mut self, item: &'ast syn::GenericArgument) {
        match item {
            syn::GenericArgument::Const(_) => self.fixed(|s| visit::visit_generic_argument(s, item)),
            // A constant's name alone reads as a type's.
            syn::GenericArgument::Type(syn::Type::Path(path)) if path.path.get_ident().is_some() => {
                self.fixed(|s| visit::visit_generic_argument(s, item));
            }
            _ => visit::visit_generic_argument(self, item),
        }
    }

    fn visit_type_path(&mut self, item: &'ast syn::TypePath) {
        if let (Some(name), true) = (item.path.get_ident(), self.fixed > 0) {
            self.used(name.to_string());
        }
        visit::visit_type_path(self, item);
    }

    fn visit_variant(&mut self, item: &'ast syn::Variant) {
        self.fixed(|s| visit::visit_variant(s, item));
    }

    fn visit_expr_const(&mut self, item: &'ast syn::ExprConst) {
        self.fixed(|s| visit::visit_expr_const(s, item));
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if item.sig.constness.is_some() {
            return self.fixed(|s| visit::visit_item_fn(s, item));
        }
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if item.sig.constness.is_some() {
            return self.fixed(|s| visit::visit_impl_item_fn(s, item));
        }
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_pat(&mut self, item: &'ast syn::Pat) {
        self.fixed(|s| visit::visit_pat(s, item));
    }

    fn visit_pat_ident(&mut self, item: &'ast syn::PatIdent) {
        self.used(item.ident.to_string());
        visit::visit_pat_ident(self, item);
    }

    fn visit_expr_path(&mut self, item: &'ast syn::ExprPath) {
        if let Some(last) = item.path.segments.last() {
            self.used(last.ident.to_string());
        }
        visit::visit_expr_path(self, item);
    }

    /// A name in a macro that makes items may be the name of one.
    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        self.fixed(|s| s.tokens(item.mac.tokens.clone()));
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.tokens(item.tokens.clone());
        visit::visit_macro(self, item);
    }

    fn visit_attribute(&mut self, item: &'ast syn::Attribute) {
        if let syn::Meta::List(list) = &item.meta {
            self.tokens(list.tokens.clone());
        }
    }
}

/// The file with those constants as functions.
pub fn rewrite(source: &str, file: &syn::File, functions: &BTreeSet<String>) -> String {
    let mut pass = Rewrite { functions, weave: Weave::default() };
    pass.visit_file(file);
    pass.weave.apply(source).0
}

struct Rewrite<'a> {
    functions: &'a BTreeSet<String>,
    weave: Weave,
}

impl Rewrite<'_> {
    fn constant(
        &mut self,
        start: syn::token::Const,
        name: &syn::Ident,
        ty: &syn::Type,
        value: &syn::Expr,
        end: syn::token::Semi,
    ) {
        let becomes = self.functions.contains(&name.to_string());
        if becomes {
            let from = start.span().byte_range().start;
            let value = value.span().byte_range();
            let ty = quote::quote!(#ty);
            self.weave.replace(from..value.start, format!("fn {name}() -> {ty} {{ "));
        }
        self.visit_expr(value);
        if becomes {
            self.weave.replace(end.span().byte_range(), " }".into());
        }
    }

    fn tokens(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(name) if self.functions.contains(&name.to_string()) => {
                    self.weave.point(name.span().byte_range().end, vec![crate::weave::plain("()")]);
                }
                _ => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for Rewrite<'_> {
    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.constant(item.const_token, &item.ident, &item.ty, &item.expr, item.semi_token);
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.constant(item.const_token, &item.ident, &item.ty, &item.expr, item.semi_token);
    }

    fn visit_expr_path(&mut self, item: &'ast syn::ExprPath) {
        if let Some(last) = item.path.segments.last() {
            if self.functions.contains(&last.ident.to_string()) {
                self.weave.point(last.ident.span().byte_range().end, vec![crate::weave::plain("()")]);
            }
        }
        visit::visit_expr_path(self, item);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.tokens(item.tokens.clone());
    }

    fn visit_attribute(&mut self, item: &'ast syn::Attribute) {
        if let syn::Meta::List(list) = &item.meta {
            self.tokens(list.tokens.clone());
        }
    }
}
