"""The policy pack: `pulumi preview --policy-pack policies`. docs/how-to/policies.md says how.

rules.py has the rules and knows no Pulumi; __main__.py hands them to the engine. It imports no other room, and has
requirements of its own.
"""
