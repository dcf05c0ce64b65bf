import java.security.KeyStore;
import java.security.Provider;
import java.security.Security;

/** The token by SunPKCS11, logged in: java [-Dposition=AMONG_THE_PROVIDERS] PROGRAM CONFIGURATION PIN. */
final class Token {
    final Provider provider;
    final KeyStore store;
    private final char[] pin;

    Token(String[] arguments) throws Exception {
        provider = Security.getProvider("SunPKCS11").configure(arguments[0]);
        Security.insertProviderAt(provider, Integer.getInteger("position", Security.getProviders().length + 1));
        pin = arguments[1].toCharArray();
        store = opened();
    }

    /** The token read again, as a later program sees it. */
    KeyStore opened() throws Exception {
        KeyStore opened = KeyStore.getInstance("PKCS11", provider);
        opened.load(null, pin);
        return opened;
    }

    static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    interface Refused {
        void call() throws Exception;
    }

    /** That a call throws what it must; says it otherwise. */
    static void refuses(Class<? extends Exception> kind, Refused refused, String what) throws Exception {
        try {
            refused.call();
        } catch (Exception thrown) {
            if (kind.isInstance(thrown)) {
                return;
            }
            throw thrown;
        }
        throw new AssertionError(what + ": nothing was thrown");
    }
}
